"""Language models: scripted ones, endpoints, local weights; and a cassette that plays an endpoint back."""
