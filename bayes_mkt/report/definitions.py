"""What each figure of the media-mix report means, in words."""

from __future__ import annotations

from typing import Final

from bayes_mkt.report.summary import interval_bounds, percent

__all__ = ["definitions"]

# Term, meaning, and the part of the report that it belongs to (None: always).
QUANTITIES: Final[tuple[tuple[str, str, str | None], ...]] = (
    (
        "Expected sales",
        "The mean of sales in a region and period under the model: what sales would be on "
        "average, without the noise of a single observation.",
        None,
    ),
    (
        "Incremental sales",
        "Expected sales with a channel's activity as it was, less expected sales with that "
        "activity removed, everything else equal. The estimand says when the activity is "
        "removed and over which periods the difference in sales is counted.",
        None,
    ),
    (
        "Return on investment (ROI)",
        "Incremental revenue divided by the spend removed. Above 1, a channel brings in "
        "more revenue than it costs. Revenue is not profit: with a margin of 40%, break-even "
        "stands at an ROI of 2.5.",
        "roi",
    ),
    (
        "Marginal ROI",
        "Revenue brought in by the next unit of spend on a channel, at its present level: "
        "the slope of the response curve. It is below the ROI where a channel saturates, "
        "and it, not the ROI, says whether to spend more.",
        "marginal-roi",
    ),
    (
        "Baseline",
        "Expected sales had no channel been active, with controls, season and regions as "
        "they were.",
        "contributions",
    ),
    (
        "Contribution",
        "The part of expected sales in a period that a channel accounts for, including the "
        "carry-over of earlier activity. Baseline and contributions add up to expected sales.",
        "contributions",
    ),
    (
        "Response curve",
        "Incremental sales if a channel's spend in the window were a multiple of what it was, "
        "its pattern over regions and time unchanged. Outside the range seen in the data the "
        "curve rests on its assumed form and on the prior.",
        "response-curves",
    ),
    (
        "Optimal frequency",
        "The average frequency at which the mean of ROI is highest, if impressions and spend stay "
        "as they were and the same frequency holds everywhere: reach is then impressions divided "
        "by frequency. A plan moves spend on such a channel by its reach, frequency unchanged. "
        "Feasible from: below this frequency some region would need more people than it has in "
        "some period, so that an optimum below it can't be had everywhere.",
        "frequency",
    ),
    (
        "Contribution of a control",
        "The part of expected sales that a control accounts for, less what it would account for "
        "at its level of reference.",
        "treatments",
    ),
    (
        "Adstock weight",
        "How much of an exposure acts in the period itself (lag 0) and in each period after it.",
        "adstock",
    ),
    (
        "Predicted sales",
        "Expected sales under a plan of media, with the noise of single observations, drawn "
        "jointly for all regions and periods. What the model does not hold is not in the interval.",
        "forecast",
    ),
    (
        "CRPS",
        "Continuous ranked probability score: the mean distance of the predictive distribution "
        "from what came, less half of the distance within it. For a forecast of one number it is "
        "the absolute error.",
        "forecast",
    ),
    (
        "Gain of a plan",
        "Revenue under the plan less revenue under today's, less the difference in spend, "
        "carry-over after the plan included. A distribution: the plan was chosen on average, and "
        "may be worse. Its expected loss is the mean over all draws of what is lost where it is "
        "worse, zero elsewhere. Next unit: revenue of the next unit of spend, 1 at break-even.",
        "plan",
    ),
    (
        "Lift test",
        "An experiment's measurement of incremental sales. Without: what the other data say of "
        "it; with: after the test has had its say.",
        "experiments",
    ),
    (
        "Refutation",
        "A change of the data or the model after which an answer is known: if the model misses "
        "it, its other answers are in doubt. Range: for shuffled media and media to come the "
        "interval of their effect, which must hold zero; else the values that pass. Fragile: an "
        "unseen cause of less weight than that would take the contribution away. Prior-driven: the "
        "data take less than the range's lower end of the prior's variance away, or a prior raised "
        "to a power (0.8, 1.25) moves the quantity visibly.",
        "refutation",
    ),
    (
        "Causal reading",
        "The figures are effects of media only if, given the controls, the season and the "
        "regions in the model, nothing else moved both the media and sales. The data alone "
        "cannot show this; experiments can.",
        None,
    ),
)


def definitions(estimand: str, interval: float, parts: frozenset[str]) -> list[tuple[str, str]]:
    """Return terms and their meaning, for the parts that a report holds.

    Parameters
    ----------
    estimand
        Which change of spend, in which window, is compared with what.
    interval
        Probability inside the intervals.
    parts
        Keys of the sections present, such as ``roi`` or ``adstock``.

    Examples
    --------
    >>> terms = [term for term, _ in definitions("All spend removed.", 0.9, frozenset({"roi"}))]
    >>> "Return on investment (ROI)" in terms, "Marginal ROI" in terms
    (True, False)
    """
    entries = [("Estimand", estimand, None), *QUANTITIES, *_statistics(interval)]
    return [(term, text) for term, text, part in entries if part is None or part in parts]


def _statistics(interval: float) -> list[tuple[str, str, str | None]]:
    low, _ = interval_bounds(interval)
    return [
        (
            "Mean, median, SD",
            "Centre and spread of the posterior draws. Half of the draws lie below the median.",
            None,
        ),
        (
            f"Credible interval ({percent(interval)})",
            f"Given the model, its priors and the data, the quantity lies inside with a "
            f"probability of {percent(interval)}, and on either side of it with {percent(low)}.",
            None,
        ),
        (
            "P(>1)",
            "The probability that the quantity exceeds 1: the share of posterior draws above it.",
            "roi",
        ),
        (
            "R-hat",
            "Compares the spread between and within chains. At 1 they agree; above 1.01 they "
            "have not yet drawn from the same distribution.",
            "diagnostics",
        ),
        (
            "Effective sample size (ESS)",
            "How many independent draws the correlated ones are worth: bulk for the centre of "
            "the distribution, tail for its 5% and 95% quantiles.",
            "diagnostics",
        ),
        (
            "MCSE",
            "Monte Carlo standard error: the error that the finite number of draws leaves in "
            "the mean. It is not uncertainty about the quantity.",
            "diagnostics",
        ),
    ]
