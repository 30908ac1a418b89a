// The enums of a plan. Python uses the same enums (bind_plan.cpp); they are declared nowhere else.
#pragma once

namespace tconv {

enum class DType : int { f32, f64, f16, bf16, c64, c128, i8, i16, i32, i64, u8, u16, u32, u64 };
constexpr int kDTypes = 14;

// Three maps on one Geometry. With A the convolution's matrix: conv_transpose is y = A^T x, conv is x = A y,
// and weight_gradient correlates x with y, one number per weight.
enum class Map : int { conv_transpose, conv, weight_gradient };

// Of source and target; of x and y for the weight gradient: [batch][channel][z][y][x] or
// [batch][z][y][x][channel].
enum class ArrayLayout : int { channels_first, channels_last };

// The activation after a layer. Some have numbers: leaky_relu a slope, prelu a slope for each channel of the
// target, clamp the bounds, elu its alpha, softplus its beta and its threshold.
enum class Activation : int {
  none,
  relu,
  leaky_relu,
  clamp,
  tanh,
  sigmoid,
  gelu,
  gelu_tanh,
  silu,
  elu,
  prelu,
  hardswish,
  softplus,
  mish
};

// What sums are multiplied by before a bias is added. No kernel has one yet.
enum class Scale : int { none, per_tensor, per_channel };

// How a sum is converted to the target's dtype: to the nearest, ties to even (integers keep their low bits),
// or the same clipped to the range of the target. No kernel clips yet.
enum class Rounding : int { nearest_even, saturating };

// The rows and lanes of the register tile of `phases`. The phases of a channel, x fastest, count as further
// channels for `stacked` and `channels`; the latter needs all phases to have the same taps, the former
// multiplies some zeros for taps that a phase lacks.
//   positions  lanes: adjacent positions;              rows: channels, one phase at a time
//   stacked    lanes: adjacent positions;              rows: channels with their phases
//   channels   lanes: channels with their phases;      rows: adjacent positions
//   by_phase   lanes: channels, phase after phase;     rows: adjacent positions; any taps; channels last
//   in the target
enum class PhasesLanes : int { positions, stacked, channels, by_phase };

// The rows and lanes of the tile of a weight gradient; y_channels and y_phases have channels of x as rows.
//   x_channels  lanes: channels of x;                   rows: channels of y
//   y_channels  lanes: channels of y, one phase at a time where the tile consists of matrix registers
//   y_phases    lanes: channels of y with their phases; only in matrix registers
//   kernel      lanes: kernel elements along x;         rows: channels of x
enum class GradientLanes : int { x_channels, y_channels, y_phases, kernel };

// The lanes of the tile of `col2im`.
//   positions  lanes: adjacent positions of the source;        rows: channels of the target x kernel elements
//   taps       lanes: kernel elements x channels of the target; rows: adjacent positions
enum class Col2imLanes : int { positions, taps };

}  // namespace tconv
