"""Every error this package raises on purpose.

TransferScoreError
├── InputError (also ValueError)    what was handed in cannot be scored
│   ├── FeaturesError               the feature matrix
│   ├── LabelsError                 the labels, or regression targets
│   ├── SourceProbabilitiesError    the source-class probabilities
│   └── OptionError                 an option of a metric or of a call
├── MetricError
│   ├── UnknownMetricError (also KeyError)
│   ├── DuplicateMetricError
│   └── NotApplicableError          this metric cannot be computed on this sample; others can
├── FeatureFileError                a file that should hold features does not
└── RegistrationError               the evaluate modules could not be put where evaluate looks
"""

from __future__ import annotations


class TransferScoreError(Exception):
    """Base of all errors that this package raises on purpose."""


class InputError(TransferScoreError, ValueError):
    """What was handed in cannot be scored."""


class FeaturesError(InputError):
    """The feature matrix cannot be scored."""


class LabelsError(InputError):
    """The labels or regression targets cannot be used."""


class SourceProbabilitiesError(InputError):
    """The source-class probabilities cannot be used."""


class OptionError(InputError):
    """An option has a value that makes no sense."""


class MetricError(TransferScoreError):
    """Something about a metric, not about the data."""


class UnknownMetricError(MetricError, KeyError):
    """No metric is registered under that name."""

    def __str__(self) -> str:
        """Show the message itself; KeyError would show its repr."""
        return str(self.args[0])


class DuplicateMetricError(MetricError):
    """Two metrics claim one name."""


class NotApplicableError(MetricError):
    """This metric cannot be computed on this sample; the message is the reason."""


class FeatureFileError(TransferScoreError):
    """A file that should hold features does not."""


class RegistrationError(TransferScoreError):
    """The evaluate modules could not be put where evaluate looks for them."""
