// The words of a plan. Python sees these very enums (bind.cpp); nothing else spells them.
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

enum class Activation : int { none, relu, leaky_relu, clamp, tanh, sigmoid };

// What sums are multiplied by before a bias is added. No kernel has one yet.
enum class Scale : int { none, per_tensor, per_channel };

// How a sum becomes a number of the target: to the nearest, ties to even (integers keep their low bits), or
// the same clipped to what the target holds. No kernel clips yet.
enum class Rounding : int { nearest_even, saturating };

// What the register tile of `phases` is made of. The phases of a channel, x fastest, count as further
// channels for `stacked` and `channels`, which need all phases to have the same taps.
//   positions  lanes: neighbouring positions;          rows: channels, one phase at a time
//   stacked    lanes: neighbouring positions;          rows: channels with their phases
//   channels   lanes: channels with their phases;      rows: neighbouring positions
//   by_phase   lanes: channels, phase after phase;     rows: neighbouring positions; any taps; channels last
//   in the target
enum class PhasesLanes : int { positions, stacked, channels, by_phase };

// What the tile of a weight gradient is made of; y_channels and y_phases have channels of x as rows.
//   x_channels  lanes: channels of x;                   rows: channels of y
//   y_channels  lanes: channels of y, one phase at a time where the tile is of matrix registers
//   y_phases    lanes: channels of y with their phases; in matrix registers alone
//   kernel      lanes: kernel elements along x;         rows: channels of x
enum class GradientLanes : int { x_channels, y_channels, y_phases, kernel };

}  // namespace tconv
