"""Small SVG pictures of the tables: bars with quartiles, or a curve where there is something to grow with."""

from pathlib import Path

from scripts.bench.harness import Table


def plot(table: Table, path: Path) -> None:
    """Draw a table. The file is the same for the same figures."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    settings = {"svg.hashsalt": "runner", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False}
    with plt.rc_context(settings | {"axes.spines.right": False}):
        medians = [row.median for row in table.rows]
        errors = [[max(0.0, row.median - row.quartiles[0]) for row in table.rows]]
        errors.append([max(0.0, row.quartiles[1] - row.median) for row in table.rows])
        height = 2.6 if table.x else 0.7 + 0.24 * len(table.rows)
        figure, axes = plt.subplots(figsize=(6.4, height), layout="constrained")
        if table.x:
            axes.errorbar(table.x, medians, yerr=errors, marker="o", capsize=2, color="tab:blue")
            axes.set_xlabel(table.x_label)
            axes.set_ylabel(table.unit)
            axes.set_ylim(bottom=0)
            if min(table.x) > 0:
                axes.set_xscale("log")
        else:
            colours = ["tab:orange" if row.label.startswith("runner") else "tab:gray" for row in table.rows]
            axes.barh([row.label for row in table.rows], medians, xerr=errors, color=colours, capsize=2)
            axes.invert_yaxis()
            axes.set_xlabel(f"{table.unit} ({'more' if table.higher_is_better else 'less'} is better)")
            if table.higher_is_better and min(medians) > 0 and max(medians) > 30 * min(medians):
                axes.set_xscale("log")
        axes.set_title(table.title, loc="left", fontsize=9)
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        plt.close(figure)
