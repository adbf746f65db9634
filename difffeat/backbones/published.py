"""The paper's own backbones, DiT-XL/2-256 and Plaid 1B, from the files that their authors publish.

`python -m data_prep.fetch dit-xl-2-256 sd-vae-ft-mse plaid-1b` gets them. Names that end in `-random` are the
same models with random weights, which need no files: for trying out the plumbing of a large run.
"""

from pathlib import Path

from diffusers import AutoencoderKL, DiTTransformer2DModel, ModelMixin
from tokenizers import Tokenizer

from difffeat.backbones.autoencoder import Autoencoder
from difffeat.backbones.dit import DiT
from difffeat.backbones.plaid import END, OFFICIAL_FILES, Plaid
from difffeat.base.checkpoint import axes_of, check_tensors, read_checkpoint
from difffeat.base.files import downloads

# Heads of the published sizes, by width; a checkpoint does not hold the number.
DIT_HEADS = {384: 6, 768: 12, 1024: 16, 1152: 16}
DIT_XL = dict(channels=4, side=32, patch=2, width=1152, depth=28, heads=16, classes=1000, learned_sigma=True)
PLAID_1B = dict(vocabulary=32768, width=2048, depth=24, heads=32)
PLAID_FILES = OFFICIAL_FILES
TOKENIZER = "owt2_tokenizer.json"
PLAID_LENGTH = 60  # tokens that a text is cut or padded to: the paper's on MS-COCO; 600 on Visual Genome


def folder_of(name: str) -> Path:
    """Where `data_prep.fetch` puts the files of a model."""
    return downloads() / name


def dit_xl(
    folder: Path | str | None,
    trained: bool,
    *,
    vae: Path | str | None = None,
    heads: int | None = None,
    posterior: str = "mean",
    framing: str = "published",
) -> DiT:
    """DiT-XL/2-256, or any DiT of that layout, with Stable Diffusion's autoencoder.

    Parameters
    ----------
    folder : path of a folder with the official `DiT-*.pt`, or of diffusers' layout (`transformer/`, `vae/`);
        or that layout's name on the Hugging Face hub, `facebook/DiT-XL-2-256`, which is then downloaded
    trained : bool, False for the untrained copy: random weights, the same autoencoder
    vae : path or name on the hub, optional; the autoencoder if not `vae` of the folder or the fetched
        `sd-vae-ft-mse`
    heads : int, of an official file whose width is not that of a published size
    posterior : "mean" or "sample" of the autoencoder's code
    framing : "published", "centre" or "whole", see `DiT`

    Returns
    -------
    DiT
    """
    source = folder or folder_of("dit-xl-2-256")
    official = sorted(Path(source).glob("DiT-*.pt"))
    if official:
        model = _official_dit(official[0], heads)
    elif (Path(source) / "transformer").is_dir() or _on_hub(source):
        network = pretrained(DiTTransformer2DModel, source, "transformer")
        model = DiT.from_diffusers(network, file=f"{source}/transformer")
    else:
        raise FileNotFoundError(_missing("dit-xl-2-256", source, "DiT-*.pt, or transformer/ and vae/"))
    if not trained:
        model = DiT(**model.config, closed_gates=False)
    model.encoder = Autoencoder(_autoencoder(source, vae), posterior)
    model.image_side, model.framing = 8 * model.latent_shape[1], framing
    return model


def _official_dit(path, heads):
    state = read_checkpoint(path)
    width, *_ = axes_of(state, "x_embedder.proj.weight", 4, path)
    if heads is None and width not in DIT_HEADS:
        raise ValueError(f"{path} is {width} wide, no published size: name the number of `heads`")
    return DiT.from_official(state, heads=heads or DIT_HEADS[width], file=path)


def _autoencoder(source, vae):
    own = source if (Path(source) / "vae").is_dir() or _on_hub(source) else None
    if vae is None and own is not None:
        return pretrained(AutoencoderKL, own, "vae")
    found = vae or folder_of("sd-vae-ft-mse")
    if not Path(found).is_dir() and not _on_hub(found):
        raise FileNotFoundError(_missing("sd-vae-ft-mse", found, "config.json and its weights"))
    return pretrained(AutoencoderKL, found)


def pretrained(
    kind: type[ModelMixin], source: Path | str, subfolder: str | None = None, variant: str | None = None
) -> ModelMixin:
    """A network of diffusers whose weights are all there, of its shapes, and finite.

    diffusers itself puts random numbers in the place of what is missing, and logs it.

    Parameters
    ----------
    kind : class of diffusers
    source : path, or name on the Hugging Face hub
    subfolder : str, optional
    variant : str, optional; "fp16" reads the files of that name

    Raises
    ------
    OSError
        If a file is not there or cannot be read.
    ValueError
        If the weights are not those of the config; the message names the tensor.
    """
    where = f"{source}/{subfolder}" if subfolder else str(source)
    again = "get its files again (`python -m data_prep.fetch --help`), or name another folder"
    try:
        network, found = kind.from_pretrained(
            source,
            subfolder=subfolder,
            variant=variant,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except OSError as error:
        raise OSError(f"{where} cannot be read: {error}: {again}") from error
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{where} holds no {kind.__name__} that can be loaded: {error}: {again}") from error
    for what, names in (("lacks", found["missing_keys"]), ("holds", found["unexpected_keys"])):
        if names:
            raise ValueError(
                f"{where} {what} {min(names)}, one of {len(names)} tensors; expected those of the "
                f"{kind.__name__} in its config.json: {again}"
            )
    for name, came, expected in found["mismatched_keys"]:
        raise ValueError(
            f"{where}: {name} is of shape {tuple(came)}, expected {tuple(expected)} as in its config.json: "
            f"{again}"
        )
    state = network.state_dict()
    check_tensors(state, {name: value.shape for name, value in state.items()}, where)
    return network


def dit_xl_random(
    folder: Path | str | None, trained: bool, *, posterior: str = "mean", framing: str = "published"
) -> DiT:
    """DiT-XL/2-256 and its autoencoder at random weights, with gates open; other ones for `trained=False`."""
    model = DiT(**DIT_XL, closed_gates=False, image_side=256, framing=framing)
    model.encoder = Autoencoder.random(posterior)
    return model


def plaid_1b(
    folder: Path | str | None,
    trained: bool,
    *,
    length: int = PLAID_LENGTH,
    tokenizer: Path | str | None = None,
) -> Plaid:
    """Plaid 1B, or any Plaid of that layout.

    Parameters
    ----------
    folder : path of a folder with noise_schedule.pt, gamma_bounds.pt, embedding_matrix.pt and model.pt, there
        or in a folder below
    trained : bool, False for the untrained copy: random weights, the same noise schedule
    length : int, tokens that a text is cut or padded to, as the paper does
    tokenizer : path of owt2_tokenizer.json, if not in the folder

    Returns
    -------
    Plaid
    """
    source = Path(folder or folder_of("plaid-1b"))
    held = [path.parent for path in sorted(source.rglob("model.pt"))] or [source]
    paths = [held[0] / name for name in PLAID_FILES]
    if lacking := [path.name for path in paths if not path.is_file()]:
        raise FileNotFoundError(_missing("plaid-1b", source, ", ".join(lacking)))
    words = read_tokenizer(tokenizer or source / TOKENIZER)
    model = Plaid.from_official(*map(read_checkpoint, paths), length=length, tokenizer=words, files=paths)
    if trained:
        return model
    copy = Plaid(**model.config, tokenizer=words)
    copy.schedule.load_state_dict(model.schedule.state_dict())
    return copy


def plaid_1b_random(
    folder: Path | str | None,
    trained: bool,
    *,
    length: int = PLAID_LENGTH,
    tokenizer: Path | str | None = None,
) -> Plaid:
    """Plaid 1B at random weights, other ones for `trained=False`; its tokenizer is needed all the same."""
    words = read_tokenizer(tokenizer or Path(folder or folder_of("plaid-1b")) / TOKENIZER)
    return Plaid(**PLAID_1B, length=length, tokenizer=words)


def read_tokenizer(path: Path | str) -> Tokenizer:
    """Plaid's tokenizer from its file; ValueError if it is another model's."""
    if not Path(path).is_file():
        raise FileNotFoundError(_missing("plaid-1b", Path(path).parent, Path(path).name))
    try:
        words = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more special
        raise ValueError(
            f"{path} is damaged or no tokenizer ({error}): remove it, and get it with `python -m "
            f"data_prep.fetch plaid-1b`"
        ) from error
    if words.token_to_id(END) is None:
        raise ValueError(f"{path} is not Plaid's tokenizer: it has no token {END}")
    return words


def _on_hub(source):
    """Whether this is the name of a repository, "owner/name", and not a folder."""
    return (
        isinstance(source, str)
        and source.count("/") == 1
        and source[0] not in "./~"
        and not Path(source).exists()
    )


def _missing(name, folder, what):
    return f"{folder} lacks {what}: get them with `python -m data_prep.fetch {name}`, or name another folder"
