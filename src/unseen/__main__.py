"""`python -m unseen`: the command line, for launchers that start modules, such as `accelerate launch -m unseen`."""

from unseen.cli import main

if __name__ == "__main__":
    main()
