"""Run the command line as ``python -m zmqchat``."""

from zmqchat.cli import main

if __name__ == "__main__":
    main()
