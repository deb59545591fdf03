from . import report as report
from . import simulate as simulate
from .errors import BayesMktError as BayesMktError
from .errors import ConvergenceWarning as ConvergenceWarning
from .errors import DataError as DataError
from .errors import SamplingError as SamplingError
from .errors import SpecError as SpecError
from .fit import Fit as Fit
from .fit import fit as fit
from .fit import sample as sample
from .inference.diagnostics import Diagnostics as Diagnostics
from .inference.diagnostics import diagnose as diagnose
from .media_mix.adstock import GeometricAdstock as GeometricAdstock
from .media_mix.adstock import NoAdstock as NoAdstock
from .media_mix.counterfactual import adstock_weights as adstock_weights
from .media_mix.counterfactual import baseline_sales as baseline_sales
from .media_mix.counterfactual import contributions as contributions
from .media_mix.counterfactual import expected_sales as expected_sales
from .media_mix.counterfactual import incremental_sales as incremental_sales
from .media_mix.estimand import Estimand as Estimand
from .media_mix.model import MediaMix as MediaMix
from .media_mix.panel import MediaPanel as MediaPanel
from .media_mix.predictive import posterior_predictive as posterior_predictive
from .media_mix.predictive import prior_predictive as prior_predictive
from .media_mix.returns import marginal_roi as marginal_roi
from .media_mix.returns import response_curves as response_curves
from .media_mix.returns import roi as roi
from .media_mix.saturation import HillSaturation as HillSaturation
from .media_mix.saturation import NoSaturation as NoSaturation
from .media_mix.seasonality import Fourier as Fourier
from .priors import Prior as Prior
from .publish import report_media_mix as report_media_mix
from .refit import refit as refit

__all__: list[str]
__version__: str
