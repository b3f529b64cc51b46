"""What a system's YAML says of its back ends: `backends:` NAME: {name: cosine | euclidean | plda | classifier, …}."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from sv.settings import Fraction, NonNegativeFloat, PositiveInt, Strict
from sv.systems.losses import ClassLoss, Softmax
from sv.systems.normalisation import Normalisation
from sv.systems.training import Adam, Exponential, Optimiser

LengthNorm = Literal["none", "simple", "model"]
Measure = Literal["duration", "norm", "cohort_mean"]  # see `sv.scoring.quality`


class KaldiAdaptation(Strict):
    """Kaldi's ivector-adapt-plda: excess variance of the new domain goes to both covariances.

    The scales are those of Kaldi's sre16 recipe; the program's own are .3 and .7.
    """

    name: Literal["kaldi"]
    within_scale: NonNegativeFloat = 0.75
    between_scale: NonNegativeFloat = 0.25
    mean_diff_scale: NonNegativeFloat = 1.0


class Coral(Strict):
    """The training vectors get the new domain's mean and covariance."""

    name: Literal["coral"]


class CoralPlus(Strict):
    """The model's two covariances grow as CORAL would move them."""

    name: Literal["coral+"]
    within_scale: NonNegativeFloat = 0.8
    between_scale: NonNegativeFloat = 0.8


class Clusters(Strict):
    """Clusters of the unlabelled vectors stand for speakers, of whom a model is trained.

    Clusters are merged until there are `num_speakers` or, without it, until the best two score below `threshold`,
    a log-likelihood ratio in nats. `weight` of the new model's covariances, the rest of the old one's; 1 is the new.
    """

    name: Literal["clusters"]
    num_speakers: PositiveInt | None = None
    threshold: float = 0.0
    weight: Fraction = 0.5


Adaptation = Annotated[KaldiAdaptation | Coral | CoralPlus | Clusters, Field(discriminator="name")]


class ProjectedBackend(Strict):
    """What all back ends begin with: minus a mean, then LDA or whitening, if any.

    `centre` names whose mean is subtracted from what is scored: of the training vectors, of the unlabelled ones of
    the new domain, or of none. The training vectors' own is subtracted from themselves in any case.

    Of embeddings that are matrices, with a row a crop, all is learnt of the means over the crops. `compares_crops` says
    whether the crops are scored one by one, each of them projected; all other back ends score the means as well.
    """

    compares_crops: ClassVar[bool] = False

    centre: Literal["train", "adapt"] | None = "train"
    lda_dim: PositiveInt | None = None
    total_covariance_factor: Fraction = 0.0  # of LDA: how much of the total covariance stands in the within-class one
    whiten: bool = False  # in place of LDA: the training vectors' covariance becomes I
    normalise: Normalisation | None = None  # of the scores, by those of a cohort
    quality: tuple[Measure, ...] = ()  # of a trial's sides, what calibration weighs beside the score

    @property
    def learns(self) -> bool:
        """Whether anything of it comes from the training vectors."""
        return self.centre == "train" or bool(self.lda_dim) or self.whiten

    @property
    def needs_adapt(self) -> bool:
        """Whether it learns from unlabelled vectors of the new domain."""
        return self.centre == "adapt"

    @property
    def some_speakers(self) -> bool:
        """Whether it learns from some of the training speakers alone, where the recipe names them."""
        return True

    @property
    def learnt_by(self) -> dict[str, Any]:
        """The settings that decide what is learnt; quality measures are looked at after it."""
        return self.model_dump(mode="json", exclude={"quality"})

    @model_validator(mode="after")
    def _measures_that_are_there(self) -> ProjectedBackend:
        if len(set(self.quality)) < len(self.quality):
            raise ValueError("quality: a measure is named twice")
        if "cohort_mean" in self.quality and not self.normalise:
            raise ValueError("quality: cohort_mean is of the cohort that normalises the scores; set normalise")
        return self

    @model_validator(mode="after")
    def _one_transform(self) -> ProjectedBackend:
        if self.whiten and self.lda_dim:
            raise ValueError("whiten: after LDA the vectors are whitened within speakers already; leave out one")
        if self.total_covariance_factor and not self.lda_dim:
            raise ValueError("total_covariance_factor: it is LDA's, and there is no lda_dim")
        return self


class CosineBackend(ProjectedBackend):
    """Cosine of the projected vectors; of crops the mean over all pairs or, with `row`, from 1, of that one of each."""

    name: Literal["cosine"]
    row: PositiveInt | None = None
    compares_crops: ClassVar[bool] = True


class EuclideanBackend(ProjectedBackend):
    """Minus the mean Euclidean distance of length-normalised crops; of whole embeddings, their distance."""

    name: Literal["euclidean"]
    centre: Literal["train", "adapt"] | None = None  # the authors' code subtracts no mean
    compares_crops: ClassVar[bool] = True


class PldaBackend(ProjectedBackend):
    """Length normalisation and two-covariance PLDA of the projected vectors, perhaps adapted to another domain.

    `length_norm` scales vectors to length sqrt(D) before the model; `plda_length_norm` is one of the three ways of
    Kaldi's ivector-plda-scoring (see `sv.backends.plda.Plda.project`).
    """

    name: Literal["plda"]
    iterations: PositiveInt = 10
    length_norm: bool = True
    plda_length_norm: LengthNorm = "model"
    smoothing: NonNegativeFloat = 0.0  # this much of the between-speaker covariance is added to the within-speaker one
    adapt: Adaptation | None = None

    @property
    def learns(self) -> bool:
        """Whether anything of it comes from the training vectors: its model."""
        return True

    @property
    def needs_adapt(self) -> bool:
        """Whether it learns from unlabelled vectors of the new domain."""
        return self.centre == "adapt" or self.adapt is not None


class ClassifierBackend(ProjectedBackend):
    """A small network that learns to tell the training speakers apart, and the cosine of its embeddings.

    "Modular or monolithic", section 3, step 2; see `sv.backends.classifier.Classifier`. The paper leaves the sizes and
    the optimiser open: these, and the number of steps, are our choice. A step is a batch in which every speaker is as
    likely as any other; what training costs does not grow with the number of vectors.
    """

    name: Literal["classifier"]
    speakers: Literal["all", "named"] = "all"  # named: those that the recipe trains PLDA on
    length_norm: bool = True  # of what goes in
    hidden_dims: tuple[PositiveInt, ...] = (512,)  # of the nonlinear layers
    embedding_dim: PositiveInt = 256  # of the linear layer behind them, whose output is the embedding
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0  # of the hidden layers, in training
    loss: ClassLoss = Softmax(name="softmax")
    steps: PositiveInt = 2000
    batch_size: PositiveInt = 128
    optimiser: Optimiser = Adam(name="adam", lr=1e-3)
    schedule: Exponential = Exponential(name="exponential", final_ratio=0.01)

    @property
    def learns(self) -> bool:
        """Whether anything of it comes from the training vectors: its model."""
        return True

    @property
    def some_speakers(self) -> bool:
        """Whether it learns from some of the training speakers alone, where the recipe names them."""
        return self.speakers == "named"

    @model_validator(mode="after")
    def _some_nonlinear_layer(self) -> ClassifierBackend:
        if not self.hidden_dims:
            raise ValueError("hidden_dims: a nonlinear layer or more is needed; for a linear one there is lda_dim")
        return self


class NetworkBackend(Strict):
    """The logit that a network gives of a pair of utterances itself (loss `bce`); there is nothing to learn."""

    name: Literal["network"]
    learns: ClassVar[bool] = False
    needs_adapt: ClassVar[bool] = False
    some_speakers: ClassVar[bool] = False
    compares_crops: ClassVar[bool] = False
    lda_dim: ClassVar[None] = None
    normalise: ClassVar[None] = None
    quality: ClassVar[tuple[Measure, ...]] = ()


Backend = Annotated[
    CosineBackend | EuclideanBackend | PldaBackend | ClassifierBackend | NetworkBackend, Field(discriminator="name")
]
