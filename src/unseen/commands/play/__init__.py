"""`unseen play`: a person plays an environment in the browser, and every episode is recorded."""
