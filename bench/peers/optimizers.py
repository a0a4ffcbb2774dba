"""Optimisers from PyPI on the scheduler bench's tables: Optuna (GP, TPE), bayes_opt, scikit-learn's Gaussian process.

Reads {"looks": [...], "tables": [{"places": [[...]], "seen": [...], "use": [...], "seed": n}]} from standard input, where
`seen` is the penalised logarithm of the objective that a look shows and `use` what it shows of the limit. Writes
{"versions": {...}, "methods": {name: {looks: [row, ...]}}}. Places are between 0 and 1; what an optimiser asks for is the
nearest row that it has not seen. All recommend the best look that kept the limit, as in the bench's own methods.
"""

import json
import sys
import warnings

import numpy as np

warnings.filterwarnings("ignore")


def nearest(places, point, seen):
    distance = ((places - point) ** 2).sum(axis=1)
    distance[seen] = np.inf
    return int(distance.argmin())


def recommend(table, seen):
    kept = [i for i in seen if table["use"][i] <= 1]
    return min(kept or seen, key=lambda i: table["seen"][i])


def optuna_method(make_sampler):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def run(table, places, looks):
        study = optuna.create_study(sampler=make_sampler(optuna, table["seed"]))
        seen = []
        for _ in range(looks):
            trial = study.ask()
            point = [trial.suggest_float(f"x{d}", 0, 1) for d in range(places.shape[1])]
            index = nearest(places, np.array(point), seen)
            seen.append(index)
            study.tell(trial, table["seen"][index])
        return seen

    return run


def bayes_opt(table, places, looks):
    from bayes_opt import BayesianOptimization, acquisition

    names = [f"x{d}" for d in range(places.shape[1])]
    optimizer = BayesianOptimization(
        f=None,
        pbounds={name: (0, 1) for name in names},
        acquisition_function=acquisition.UpperConfidenceBound(kappa=2.576),
        random_state=table["seed"],
        verbose=0,
        allow_duplicate_points=True,
    )
    rng = np.random.default_rng(table["seed"])
    seen = []
    for look in range(looks):
        point = rng.random(len(names)) if look < 2 else np.array([optimizer.suggest()[name] for name in names])
        index = nearest(places, point, seen)
        seen.append(index)
        optimizer.register(params=dict(zip(names, places[index])), target=-table["seen"][index])
    return seen


def sklearn_gp(table, places, looks):
    from scipy.stats import norm
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern, WhiteKernel

    rng = np.random.default_rng(table["seed"])
    seen = [int(i) for i in rng.choice(len(places), size=min(2, looks), replace=False)]
    while len(seen) < looks:
        y = np.array([table["seen"][i] for i in seen])
        model = GaussianProcessRegressor(Matern(nu=2.5) + WhiteKernel(1e-2), normalize_y=True, random_state=0).fit(places[seen], y)
        mean, sd = model.predict(places, return_std=True)
        gain = (y.min() - mean) * norm.cdf((y.min() - mean) / sd) + sd * norm.pdf((y.min() - mean) / sd)
        gain[seen] = -np.inf
        seen.append(int(gain.argmax()))
    return seen


def main():
    import bayes_opt as bayes_opt_package
    import optuna
    import sklearn

    task = json.load(sys.stdin)
    methods = {
        "optuna GP": optuna_method(lambda o, seed: o.samplers.GPSampler(seed=seed, n_startup_trials=2)),
        "optuna TPE": optuna_method(lambda o, seed: o.samplers.TPESampler(seed=seed, n_startup_trials=2)),
        "bayes_opt UCB": bayes_opt,
        "scikit-learn GP EI": sklearn_gp,
    }
    try:
        import torch

        torch.set_num_threads(1)
    except ImportError:
        del methods["optuna GP"]  # its sampler needs torch
    answers = {name: {str(looks): [] for looks in task["looks"]} for name in methods}
    most = max(task["looks"])
    for number, table in enumerate(task["tables"]):
        places = np.array(table["places"])
        for name, method in methods.items():
            # The first k looks of a longer series are the series of k looks.
            seen = method(table, places, min(most, len(places)))
            for looks in task["looks"]:
                answers[name][str(looks)].append(recommend(table, seen[:looks]))
        print(f"{number + 1} of {len(task['tables'])} tables", file=sys.stderr, end="\r")
    versions = {"optuna": optuna.__version__, "bayes_opt": bayes_opt_package.__version__, "scikit-learn": sklearn.__version__}
    json.dump({"versions": versions, "methods": answers}, sys.stdout)


if __name__ == "__main__":
    main()
