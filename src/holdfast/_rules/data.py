"""D: data and preprocessing, held against the record: the data contract, the probe's raw batch, the probe itself.

The faults come from :mod:`holdfast._record.data.shifts` (slug ``data-`` and the shift's kind) and from
:mod:`holdfast._restore.proving`. What is a likely cause, not a fact, says so in its evidence.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._core.finding import Finding
from .facts import told
from .registry import Rule, Subject, rule

__all__: list[str] = []


@rule(
    "D401", "data-field-missing", severity="error", cause="preprocessing", live=True,
    remedy="Feed the field again, or build the model without it.",
)  # fmt: skip
def data_field_missing(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A field that the contract knows is not in the batch.

    A column was dropped, a key renamed, a loader returns a shorter tuple. Frameworks that take dicts may fill a
    default or raise far from the cause.

    Evidence: the field, and those that are there.

    What to do: compare the keys of the batch with those of the contract.

    Example: ``batch['age']`` was renamed to ``batch['age_years']``.
    """
    yield from told(rule, subject)


@rule(
    "D402", "data-field-new", severity="warning", cause="preprocessing", live=True,
    remedy="Leave it out, or learn the contract anew if it is meant.",
)  # fmt: skip
def data_field_new(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The batch has a field that the contract does not know.

    A new column moves the positions of all that follow where features are taken by position.

    Evidence: the field, and those of the contract.

    What to do: check that the model does not take its inputs by position.

    Example: A loader that now returns sample weights too.
    """
    yield from told(rule, subject)


@rule(
    "D403", "data-layout", severity="error", cause="preprocessing", live=True,
    remedy="Transpose the batch, or build the model for this layout.",
)  # fmt: skip
def data_layout(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Images lie in another axis order than the contract's: NCHW for NHWC, or the reverse.

    Convolutions then run over the wrong axes; where sizes allow it nothing raises.

    Evidence: the shape of a sample, and the contract's.

    What to do: transpose, or set ``data_format``.

    Example: torchvision's tensors (3, 224, 224) fed to a Keras model.
    """
    yield from told(rule, subject)


@rule(
    "D404", "data-shape", severity="error", cause="preprocessing", live=True,
    remedy="Resize or crop as it was done in training.",
)  # fmt: skip
def data_shape(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Samples have another shape than the contract's.

    Models with global pooling accept any size without a word, and do worse at each but that of training.

    Evidence: the shape of a sample, and the contract's.

    What to do: apply the resizing and cropping of the training pipeline.

    Example: Evaluated at 256 pixels, trained at 224.
    """
    yield from told(rule, subject)


@rule(
    "D405", "data-dtype", severity="warning", cause="preprocessing", live=True,
    remedy="Cast as the training pipeline does.",
)  # fmt: skip
def data_dtype(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A field has another kind of number type than the contract's.

    Whole numbers where fractions were: often pixels that nobody divided by 255.

    Evidence: the dtype, and the contract's.

    What to do: cast, and check the scale as well.

    Example: uint8 images straight from the decoder.
    """
    yield from told(rule, subject)


@rule(
    "D406", "data-missing-values", severity="error", cause="preprocessing", live=True,
    remedy="Impute as in training (the fitted imputer belongs to the checkpoint).",
)  # fmt: skip
def data_missing_values(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """More samples hold NaN than in the contract's data, beyond chance.

    One NaN makes the whole loss NaN, or is imputed by another constant than in training.

    Evidence: the share of samples with NaN, and the contract's.

    What to do: find the column and the join that lost it.

    Example: A left join that found no partner for a third of the rows.
    """
    yield from told(rule, subject)


@rule(
    "D407", "data-own-statistics", severity="warning", cause="preprocessing", live=True,
    remedy="Normalise by the training data's mean and deviation, saved with the checkpoint.",
)  # fmt: skip
def data_own_statistics(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The batch is normalised by its own mean and deviation instead of the training data's.

    ``fit_transform`` where ``transform`` was meant: each batch is centred on itself, and what tells it from the
    training data is gone.

    Evidence: how near to 0 and 1 its moments are, and how near honest batches come.

    What to do: apply the fitted scaler; do not fit it again.

    Example: ``StandardScaler().fit_transform(x_test)``.
    """
    yield from told(rule, subject)


@rule(
    "D408", "data-channels-reversed", severity="error", cause="preprocessing", live=True,
    remedy="Reverse the channel axis (``[..., ::-1]``).",
)  # fmt: skip
def data_channels_reversed(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The channels stand in reverse order: BGR for RGB.

    OpenCV reads BGR, everything else RGB. Models lose some points and no more, so nobody notices. Found by
    reversing: the batch then fits the contract.

    Evidence: the channel whose numbers stray most, and the contract's.

    What to do: convert after reading.

    Example: ``cv2.imread`` without ``cvtColor``.
    """
    yield from told(rule, subject)


@rule(
    "D409", "data-scale", severity="error", cause="preprocessing", live=True,
    remedy="Scale as in training.",
)  # fmt: skip
def data_scale(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Values run over another range: 0 to 255 for 0 to 1, 0 to 1 for -1 to 1, or the reverse.

    ``ToTensor`` divides by 255, and PIL arrays do not; a Rescaling layer within the model divides a second time.
    Found by undoing: the batch then fits.

    Evidence: the number that strays most, and the contract's.

    What to do: divide once, at one place.

    Example: ``x / 255`` in the loader and ``Rescaling(1/255)`` in the model.
    """
    yield from told(rule, subject)


@rule(
    "D410", "data-not-normalised", severity="error", cause="preprocessing", live=True,
    remedy="Subtract the training mean and divide by its deviation.",
)  # fmt: skip
def data_not_normalised(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Values are not normalised, and the model was fed mean 0 and deviation 1.

    The first layer then sees inputs many deviations from any that it knows. Found by normalising: the batch then
    fits.

    Evidence: the number that strays most, and the contract's.

    What to do: apply the training pipeline's normalisation.

    Example: A serving path without ``transforms.Normalize``.
    """
    yield from told(rule, subject)


@rule(
    "D411", "data-normalised", severity="error", cause="preprocessing", live=True,
    remedy="Feed the values as they are.",
)  # fmt: skip
def data_normalised(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Values are normalised, and the model was fed them as they are.

    A Normalization layer within the model then does it a second time.

    Evidence: the number that strays most, and the contract's.

    What to do: take the normalisation out of the pipeline.

    Example: Preprocessing moved into the model, and left in the loader.
    """
    yield from told(rule, subject)


@rule(
    "D412", "data-drift", severity="warning", cause="preprocessing", live=True,
    remedy="Find which step of the pipeline or which source of data changed.",
)  # fmt: skip
def data_drift(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A field is distributed otherwise than in the contract, and no usual mistake explains it.

    Other constants in the preprocessing, another split, another population: the numbers alone do not say which.

    Evidence: which summary strays, how far, and by how many standard deviations between samples.

    What to do: compare the preprocessing code and its constants first, then the source of the data.

    Example: Mean and deviation of ImageNet on medical images.
    """
    yield from told(rule, subject)


@rule(
    "D413", "data-unknown-values", severity="error", cause="preprocessing", live=True,
    remedy="Use the vocabulary that was saved with the checkpoint.",
)  # fmt: skip
def data_unknown_values(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Labels, tokens or categories occur that are none of the contract's.

    Another tokenizer or label map: ids then name other things, and lookups give other rows.

    Evidence: the unknown values, and how many are known.

    What to do: load the tokenizer or label map of the training run.

    Example: A tokenizer of a newer version with 200 more tokens.
    """
    yield from told(rule, subject)


@rule(
    "D414", "data-label-shift", severity="warning", cause="preprocessing", live=True,
    remedy="Check the label map, then the sampling.",
)  # fmt: skip
def data_label_shift(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Labels occur with other frequencies than in the contract, beyond chance.

    A label map built from another folder listing permutes the classes; a subset changes their shares.

    Evidence: the class that differs most, with both shares.

    What to do: compare the order of the class names.

    Example: ``os.listdir`` without ``sorted``.
    """
    yield from told(rule, subject)


@rule(
    "D415", "data-field-order", severity="warning", cause="preprocessing", live=True,
    remedy="Put the fields in the contract's order, or feed the model by name.",
)  # fmt: skip
def data_field_order(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The same fields or columns stand in another order.

    A model that is fed by position then reads one feature as another, and nothing raises: shapes and types agree. Of
    named columns it is a fact; of columns without names it is found by putting them back: the batch then fits.

    Evidence: the order, and the contract's; or which columns are exchanged.

    What to do: select the columns by name (``frame[list(contract.fields)]``) before they become an array.

    Example: A query that selects the columns in another order; a dict whose keys were sorted.
    """
    yield from told(rule, subject)


@rule(
    "D416", "data-transform", severity="error", cause="preprocessing", live=True,
    remedy="Use the preprocessing of the training run, with its constants.",
)  # fmt: skip
def data_transform(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The preprocessing is another than the one that the contract was learned with.

    Told by its class, its settings, the numbers it was fitted to and the code that you wrote; a change that no number of
    a small batch shows is seen here.

    Evidence: each setting that changed, before and now.

    What to do: take the preprocessing from where training takes it, and do not write it a second time.

    Example: ``Normalize`` with mean 0.5 where it was 0.485; a scaler that was fitted anew.
    """
    yield from told(rule, subject)


@rule(
    "D417", "data-label-map", severity="error", cause="preprocessing", live=True,
    remedy="Use the label map that was saved with the checkpoint.",
)  # fmt: skip
def data_label_map(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Classes have other numbers than in the contract's label map, or there are other classes.

    The model's outputs are then called by wrong names. No loss tells, and no shape.

    Evidence: each class that differs, with both numbers.

    What to do: load the map of the training run; do not make it anew from a listing.

    Example: ``sorted(os.listdir(...))`` after a class folder was added.
    """
    yield from told(rule, subject)


@rule(
    "D501", "preprocessing-differs", severity="error", cause="preprocessing", live=True,
    remedy="Compare the preprocessing code and its constants with those of the run.",
)  # fmt: skip
def preprocessing_differs(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Preprocessing gives other numbers for the recorded raw batch than it gave then.

    The model is not to blame: what it is fed differs. Replayed from the raw batch that the probe keeps.

    Evidence: the field, and the largest difference.

    What to do: restore the fitted preprocessing that was saved with the state.

    Example: Another mean and deviation, a resize with another filter, a newer tokenizer.
    """
    yield from told(rule, subject)


@rule("D502", "probe-diverges", severity="error", cause="preprocessing", live=True)
def probe_diverges(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """For the recorded batch the restored model gives other outputs than when it was saved.

    The first layer that computes otherwise is named, with what differs there between the record and the live model:
    a setting, its code, its tensors.

    Evidence: the layer, how far it is off, the tolerance and where it comes from.

    What to do: put the named setting or code back; where nothing differs there, compare library versions and
    devices.

    Example: A BatchNorm whose epsilon became 1e-6; a GELU that became its tanh approximation.
    """
    yield from told(rule, subject)


@rule(
    "D503", "preprocessing-constants", severity="error", cause="preprocessing", live=True,
    remedy="Put the saved ones back: vault.restore(preprocess={...}).",
)  # fmt: skip
def preprocessing_constants(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Fitted preprocessing has other constants than those that were saved with the checkpoint.

    Fitted again on other data, built with other numbers, or another setting: the model is fed what it never saw, and nothing
    raises. Rounding below a millionth is no difference.

    Evidence: the attribute, what it was and what it is, and how far apart.

    What to do: restore the fitted object from the checkpoint; do not fit it again.

    Example: ``StandardScaler().fit(x_new)``: ``scaler: mean_[3] was 0.13, and is 0.51``.
    """
    yield from told(rule, subject)


@rule(
    "D504", "preprocessing-vocabulary", severity="error", cause="preprocessing", live=True,
    remedy="Put the saved one back: vault.restore(preprocess={...}).",
)  # fmt: skip
def preprocessing_vocabulary(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A vocabulary, label map or tokenizer is another one than that which was saved with the checkpoint.

    Each term has a row of the embedding, each class a place in the output. One term more in the middle, or another order, and
    all that follow mean something else.

    Evidence: terms that are gone or new, or the first that stands elsewhere; how many there were and are.

    What to do: restore the vocabulary from the checkpoint.

    Example: ``StringLookup`` adapted again after a week: two terms of equal frequency changed places.
    """
    yield from told(rule, subject)
