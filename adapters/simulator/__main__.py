import argparse

from adapters.simulator.server import main

if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="adapters.simulator", description=main.__doc__)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=0, help="0: any free port")
    options.add_argument("--seed", type=int, default=0, help="the same seed, the same faults")
    chosen = options.parse_args()
    main(chosen.host, chosen.port, seed=chosen.seed)
