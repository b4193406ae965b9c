"""From the providers' file to the values that the rules take."""

from datetime import timedelta

from config.providers import CadenceSettings, ProviderSettings
from config.providers import Stage as StageSettings
from domain.model.due_work import LaneLimits
from domain.model.policy import Cadence, NoRecordPolicy, ProviderPolicy, Stage

# A reversal's last attempt leaves time for a query, a void and a query that end at their timeout, and this beside.
_LAST_ATTEMPT = timedelta(minutes=1)
_BULK = 100  # the most that the provider contract takes in one call


def policy_of(name: str, settings: ProviderSettings) -> ProviderPolicy:
    """Return a provider's terms as the rules read them."""
    cadence = settings.cadence
    return ProviderPolicy(
        name=name,
        polling=_cadence(cadence, cadence.stages),
        networks={network: _cadence(cadence, stages, repeats=True) for network, stages in cadence.networks.items()},
        watch=_cadence(cadence, cadence.watch),
        watch_crypto=_cadence(cadence, cadence.watch_crypto),
        retries=Cadence(stages=_stages(settings.reversals.stages), jitter=cadence.jitter),
        most_attempts=settings.reversals.max_attempts,
        last_attempt=_LAST_ATTEMPT + 3 * timedelta(seconds=settings.timeout_seconds),
        confirmations=dict(cadence.confirmations),
        no_record=NoRecordPolicy(
            answers=settings.no_record.answers, over=timedelta(seconds=settings.no_record.over_seconds)
        ),
        cancellation_timeout=_duration(settings.cancellation_timeout),
        checkout_timeout=_duration(settings.checkout_timeout),
        window_fiat=timedelta(seconds=settings.payment_window.fiat),
        window_crypto=timedelta(seconds=settings.payment_window.crypto),
        merchants=None if settings.merchants is None else frozenset(settings.merchants),
    )


def limits_of(settings: ProviderSettings) -> LaneLimits:
    """Return what the provider's lane may carry."""
    return LaneLimits(
        requests_per_second=settings.requests_per_second,
        concurrency=settings.concurrency,
        call_timeout=timedelta(seconds=settings.timeout_seconds),
        bulk=_BULK if settings.bulk else 1,
        breaker_failures=settings.breaker.failures,
        breaker_open=timedelta(seconds=settings.breaker.open_seconds),
    )


def _cadence(settings: CadenceSettings, stages: "tuple[StageSettings, ...]", *, repeats: bool = False) -> Cadence:
    return Cadence(
        stages=_stages(stages),
        jitter=settings.jitter,
        max_age=timedelta(seconds=settings.max_age_seconds),
        repeats=repeats,
    )


def _stages(stages: "tuple[StageSettings, ...]") -> list[Stage]:
    return [Stage(timedelta(seconds=stage.delay_seconds), stage.times) for stage in stages]


def _duration(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
