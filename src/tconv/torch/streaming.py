"""A transposed convolution over a signal that comes in chunks.

Input i reaches the outputs i*stride + t*dilation, t = 0 .. kernel-1, before cropping. So after m inputs the
outputs below m*stride are complete. The inputs that later outputs still need are kept, and each output
is summed in one call, from all its inputs: not chunk by chunk, so that nothing is rounded twice.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tconv.errors import TconvError
from tconv.geometry.axis import Axis
from tconv.geometry.normalize import padding_pairs
from tconv.torch.functional import conv_transpose1d

__all__ = ["StreamingConvTranspose1d"]


class _State(NamedTuple):
    """The state of a stream."""

    kept: Tensor  #: the last inputs, which later outputs need
    taken: int  #: the number of inputs so far
    given: int  #: the next output, counted before cropping


class StreamingConvTranspose1d(nn.Module):
    """A ConvTranspose1d that takes a signal in chunks of any length and gives the samples of the whole.

    Call it with chunk after chunk; `flush` returns the tail and ends the stream; `reset` discards one. The
    concatenated outputs are those of `layer` on the concatenated chunks: exactly on whole numbers; on others
    to the bit where the engine sums a short input in the order of a long one, as it does with few channels,
    and otherwise within rounding, since it chooses its algorithm by size. An object holds one stream, or a
    batch of streams; further streams need further objects, which may share a layer.

    With a layer's near and far padding lo and hi, and reach = dilation*(kernel-1) + 1: after m inputs
    m*stride - `latency` outputs have been returned, with latency = lo + max(0, stride + hi - reach -
    output_padding), and `flush` adds the last max(0, reach + output_padding - hi - stride). For a kernel of
    twice the stride and a padding of half of it, both are half a stride.

    Gradients of the weights are those of the whole; gradients of the inputs stop at the start of a chunk.

    >>> up = nn.ConvTranspose1d(1, 1, 4, stride=2, padding=1, bias=False)
    >>> _ = nn.init.ones_(up.weight)
    >>> stream = StreamingConvTranspose1d.from_layer(up)
    >>> with torch.no_grad():
    ...     for chunk in torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[4.0]]]):
    ...         stream(chunk)
    ...     stream.flush()
    ...     up(torch.tensor([[[1.0, 2.0, 4.0]]]))
    tensor([[[1., 3., 3.]]])
    tensor([[[6., 6.]]])
    tensor([[[4.]]])
    tensor([[[1., 3., 3., 6., 6., 4.]]])
    """

    def __init__(self, layer: nn.ConvTranspose1d) -> None:
        """See `from_layer`."""
        super().__init__()
        _check(layer)
        self.layer = layer
        ((lo, hi),) = padding_pairs(layer.padding, layer.kernel_size, layer.stride, layer.dilation)
        numbers = layer.kernel_size, layer.stride, layer.output_padding, layer.dilation
        (kernel,), (stride,), (extra,), (dilation,) = numbers
        self._one = Axis(1, kernel, stride, lo, hi, extra, dilation)  # of one input
        self._state: _State | None = None

    @classmethod
    def from_layer(cls, layer: nn.ConvTranspose1d) -> StreamingConvTranspose1d:
        """A stream through `layer`, PyTorch's or tconv's, whose parameters it shares.

        Raises:
            TconvError: not such a layer, or one that needs its whole input: a padding mode other than
                "zeros", an output size, hooks.
        """
        return cls(layer)

    @property
    def latency(self) -> int:
        """How many outputs lag behind the stride times the inputs; negative if padding adds some."""
        return self._one.lo + max(0, self._one.stride - self._end(1))

    def forward(self, chunk: Tensor) -> Tensor:
        """The outputs that `chunk` completes.

        Args:
            chunk: (n, c_in, length) or (c_in, length), of any length, 0 too.

        Returns:
            (n, c_out, length') or (c_out, length'); length' may be 0.

        Raises:
            TconvError: a chunk that does not fit the layer, or not the chunks before it.
        """
        if not isinstance(chunk, Tensor):
            raise TconvError(f"a chunk that is a {type(chunk).__name__}; a torch.Tensor would fit")
        state = self._state or self._begun(chunk)
        _check_chunk(chunk, state.kept)
        inputs = torch.cat([state.kept, chunk], -1)
        taken = state.taken + chunk.shape[-1]
        # Outputs beyond the end that the stream would have if it stopped now must wait.
        until = max(state.given, min(taken * self._one.stride, self._end(taken)))
        result = self._outputs(inputs, taken, state.given, until)
        self._keep(inputs, taken, until)
        return result

    def flush(self) -> Tensor:
        """The outputs that remain when no input follows; the next chunk begins a new stream.

        Raises:
            TconvError: no input, or so few that the layer has no output.
        """
        state = self._state
        if state is None or self._end(state.taken) <= self._one.lo:
            taken = 0 if state is None else state.taken
            least = 1 + max(0, -((self._one.output - 1) // self._one.stride))
            raise TconvError(
                f"{self.layer}: an input of length {taken} has no output; one of at least {least} would fit"
            )
        result = self._outputs(state.kept, state.taken, state.given, self._end(state.taken))
        self.reset()
        return result

    def reset(self) -> None:
        """Discard the stream: the next chunk begins a new one."""
        self._state = None

    def _end(self, inputs: int) -> int:
        """One past the last output of so many inputs, counted before cropping."""
        return self._one.lo + (self._one._replace(input=inputs).output if inputs else 0)

    def _begun(self, chunk: Tensor) -> _State:
        channels = self.layer.in_channels
        if chunk.dim() not in (2, 3) or chunk.shape[-2] != channels:
            raise TconvError(
                f"{self.layer}: a chunk of shape {tuple(chunk.shape)}; (n, {channels}, length) or "
                f"({channels}, length) would fit"
            )
        return _State(chunk[..., :0].detach(), 0, self._one.lo)

    def _keep(self, inputs: Tensor, taken: int, given: int) -> None:
        """Keep the inputs that outputs from `given` on need, as a copy: a view would keep the chunk alive."""
        axis = self._one
        first = -((axis.dilation * (axis.kernel - 1) - given) // axis.stride)
        count = min(taken - max(first, 0), inputs.shape[-1])
        count = max(count, min(taken, 1))  # outputs of the bias alone need an input too
        self._state = _State(inputs[..., inputs.shape[-1] - count :].detach().clone(), taken, given)

    def _outputs(self, inputs: Tensor, taken: int, given: int, until: int) -> Tensor:
        """The outputs [given, until) from the last ones of `taken` inputs."""
        layer: Any = self.layer
        if given == until:
            return inputs.new_empty((*inputs.shape[:-2], layer.out_channels, 0))
        count = inputs.shape[-1]
        before = (taken - count) * layer.stride[0]
        whole = self._one._replace(input=count, lo=0, hi=0, output_padding=0).output
        padding = given - before, whole - (until - before)
        return conv_transpose1d(
            inputs, layer.weight, layer.bias, layer.stride, (padding,), 0, layer.groups, layer.dilation,
            activation=getattr(layer, "activation", None),
        )  # fmt: skip


def _check(layer: Any) -> None:
    if not isinstance(layer, nn.ConvTranspose1d):
        raise TconvError(f"a {type(layer).__name__}; a ConvTranspose1d would fit")
    if isinstance(layer.weight, nn.UninitializedParameter):
        raise TconvError(f"{layer} has no weights yet; one that has seen an input would fit")
    whole = {
        f"padding_mode={layer.padding_mode!r}": layer.padding_mode != "zeros",
        "output_size": getattr(layer, "output_size", None) is not None,
        "hooks (torch.nn.utils.remove_weight_norm takes away an old one)": any(
            (layer._forward_hooks, layer._forward_pre_hooks)
        ),
    }
    for reason, found in whole.items():
        if found:
            raise TconvError(f"{layer}: {reason} in a layer that takes chunks; one without would fit")


def _check_chunk(chunk: Tensor, kept: Tensor) -> None:
    for name in ("dtype", "device"):
        ours, theirs = getattr(kept, name), getattr(chunk, name)
        if ours != theirs:
            raise TconvError(
                f"a chunk of {name} {theirs} in a stream of {ours}; {ours} would fit, or reset() before"
            )
    if chunk.shape[:-1] != kept.shape[:-1]:
        fits = f"({', '.join(map(str, kept.shape[:-1]))}, length)"
        raise TconvError(
            f"a chunk of shape {tuple(chunk.shape)} in a stream of others; {fits} would fit, "
            "or reset() before"
        )
