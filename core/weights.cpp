#include "weights.hpp"

#include <algorithm>
#include <atomic>

#include "half.hpp"
#include "table.hpp"
#include "threads.hpp"

namespace tconv {
namespace {

// Lanes of channels: [group][tile of columns][tap][source channel][column of the tile]
// else:              [group][block of rows][phase, unless stacked][tap][source channel][row of the block]
// A column, and a stacked row, is a target channel with one of its phases, in the order of Layout::row_at;
// but [phase][channel] for columns where channels are last in the target too, and phases whose taps differ
// then begin with a tile.
//
// Calls move(packed numbers, weights, offsets of the first `filled` of these, `filled`, numbers) for every
// tap and source channel of a tile, and done(packed numbers of a tile, how many) after each. An offset is
// negative where the phase lacks the tap.
template <class S, class Move, class Done>
void each_panel(const Plan& plan, const PhasesPlan& part, const Layout& at, S* weight, S* packed,
                const Move& move, const Done& done) {
  const bool by_phase = at.by_phase(), channels = by_phase || at.store == Store::runs;
  const bool apart = by_phase && at.stacked == 1;  // all columns of a tile belong to one phase
  const int64_t depth = at.source_channels,
                phases = at.stacked > 1 || apart ? 1 : static_cast<int64_t>(at.phases.size());
  const int64_t group_weights = plan.problem.in_channels * plan.problem.out_channels * at.kernel_cells;
  const int64_t width = channels ? at.tile_lanes : part.rows,
                blocks = ceil_div(channels ? at.columns : at.rows, width);

  constexpr int64_t kDepthBlock = 16;
  parallel_for(plan.problem.groups * blocks, plan.most_threads, [&](int64_t task, int) {
    const int64_t group = task / blocks, first = task % blocks * width,
                  own_phase = apart ? first / at.phase_columns : 0;
    const int64_t begin = first - own_phase * at.phase_columns;
    const int64_t filled = std::min(width, at.rows - begin), padded = channels ? width : filled;
    S* from = weight + group * group_weights;
    S* to = packed + group * at.packed_group + tile_offset(at, first);
    const size_t rows = static_cast<size_t>(filled);
    std::vector<int64_t> row_start(rows), row_phase(rows), start(rows);  // of each row in the weight array
    for (int64_t i = 0; i < filled; ++i) {
      const int64_t row = begin + i, apiece = at.target_channels;
      const Layout::Row own = by_phase ? Layout::Row{row % apiece, row / apiece} : at.row_at(row);
      row_start[static_cast<size_t>(i)] = own.channel * at.row_stride;
      row_phase[static_cast<size_t>(i)] = own.phase;
    }
    // A few source channels at a time: all their taps are in the same cache lines.
    int64_t all = 0;
    for (int64_t block = 0; block < depth; block += kDepthBlock) {
      const int64_t end = std::min(block + kDepthBlock, depth);
      S* tap = to + block * padded;
      for (int64_t phase = own_phase; phase < own_phase + phases; ++phase) {
        const size_t taps = at.phases[static_cast<size_t>(phase)].kernel.size();
        for (size_t t = 0; t < taps; ++t, tap += depth * padded) {
          for (size_t i = 0; i < rows; ++i) {
            const int64_t element = at.phases[static_cast<size_t>(phase + row_phase[i])].kernel[t];
            start[i] = element < 0 ? -1 : row_start[i] + element;
          }
          S* out = tap;
          for (int64_t d = block; d < end; ++d, out += padded)
            move(out, from + d * at.depth_stride, start.data(), filled, padded);
        }
      }
      all = tap - to - block * padded;
    }
    done(to, all);
  });
}

// Two numbers of a block for matrix registers: word p holds part p of both, those of `odd` above those of
// `even`. Numbers that are not the sum of their parts are stored by their bits, the upper 16 before the
// lower.
struct Pair {
  float even, odd;

  static Pair of(const float* words, int parts, int64_t part, bool lost) {
    Pair sum{0, 0};
    if (lost) {
      const uint32_t upper = bits_of(words[0]), lower = parts > 1 ? bits_of(words[part]) : 0;
      return {float_of(upper << 16 | (lower & 0xffff)), float_of((upper & 0xffff0000) | lower >> 16)};
    }
    for (int p = parts; p-- > 0;) {
      const uint32_t word = bits_of(words[p * part]);
      sum.even += float_of(word << 16), sum.odd += float_of(word & 0xffff0000);
    }
    return sum;
  }
  void keep(float* words, int parts, int64_t part) const {
    const uint32_t e = bits_of(even), o = bits_of(odd);
    words[0] = float_of((o & 0xffff0000) | e >> 16);
    if (parts > 1) words[part] = float_of(o << 16 | (e & 0xffff));
  }
};

// Calls visit(place of the pair of channels d and d + 1 in the phase of the block, tap, row, d) for one
// phase.
template <class Visit>
void each_pair(const PhasesPlan& part, const Layout& at, int64_t first, int64_t phase, const Visit& visit) {
  const PhaseTaps& own = at.phases[static_cast<size_t>(phase)];
  const int64_t filled = std::min<int64_t>(part.rows, at.rows - first),
                register_part = round_up(filled, 16) * 16, taps = static_cast<int64_t>(own.kernel.size());
  int64_t place = 0;
  for (int64_t k = 0; k < at.blocks; ++k)
    for (int64_t t = 0; t < taps; ++t, place += part.parts * register_part)
      for (int64_t i = 0; i < filled; ++i)
        for (int64_t d = 32 * k; d < std::min(32 * k + 32, at.source_channels); d += 2)
          visit(place + i * 16 + (d - 32 * k) / 2, t, i, d);
}

int64_t register_part(const PhasesPlan& part, const Layout& at, int64_t first) {
  return round_up(std::min<int64_t>(part.rows, at.rows - first), 16) * 16;
}

template <class T>
T* of_phase(const PhasesPlan& part, const Layout& at, int64_t first, int64_t phase, T* block) {
  return block + at.phases[static_cast<size_t>(phase)].before * at.blocks * part.parts *
                     register_part(part, at, first);
}

int64_t phase_count(const Layout& at) { return at.stacked > 1 ? 1 : static_cast<int64_t>(at.phases.size()); }

// Where a row's weight for a tap of a phase is in its group, without the source channel; negative where the
// phase lacks the tap.
int64_t weight_of(const Layout& at, int64_t row, int64_t phase, int64_t tap) {
  const Layout::Row own = at.row_at(row);
  const int64_t element = at.phases[static_cast<size_t>(phase + own.phase)].kernel[static_cast<size_t>(tap)];
  return element < 0 ? -1 : own.channel * at.row_stride + element;
}

}  // namespace

template <class S>
void pack_panels(const Plan& plan, const PhasesPlan& part, const Layout& at, const S* weight, S* packed) {
  using T = typename Storage<S>::T;
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const Storage<S> storage(plan.isa);
  std::atomic<bool> bounded{true};
  each_panel(
      plan, part, at, const_cast<S*>(weight), packed,
      [](S* out, const S* own, const int64_t* start, int64_t filled, int64_t padded) {
        for (int64_t i = 0; i < filled; ++i) out[i] = start[i] < 0 ? S{} : own[start[i]];
        for (int64_t i = filled; i < padded; ++i) out[i] = S{};
      },
      [&](const S* made, int64_t count) {
        if (!storage.bounded(kernels, made, count)) bounded = false;
      });
  const uint8_t mark = !bounded;
  std::memcpy(packed + plan.problem.groups * at.packed_group, &mark, 1);
}

template <class S>
bool unpack_panels(const Plan& plan, const PhasesPlan& part, const Layout& at, const S* packed,
                   Block& weight) {
  uint8_t mark;
  std::memcpy(&mark, packed + plan.problem.groups * at.packed_group, 1);
  if (!mark) return false;
  weight = Block(static_cast<size_t>(weight_count(plan.problem)) * sizeof(S));
  std::memset(weight.as<void>(), 0, weight.bytes());
  each_panel(
      plan, part, at, weight.as<S>(), const_cast<S*>(packed),
      [](const S* out, S* own, const int64_t* start, int64_t filled, int64_t) {
        for (int64_t i = 0; i < filled; ++i)
          if (start[i] >= 0) own[start[i]] = out[i];
      },
      [](const S*, int64_t) {});
  return true;
}

template <class S>
Mark pack_block(const Plan& plan, const PhasesPlan& part, const Layout& at, const S* weight, int64_t group,
                int64_t first, typename Storage<S>::T* block) {
  using T = typename Storage<S>::T;
  const KernelSet<T>& kernels = kernels_for<T>(plan.isa);
  const Storage<S> storage(plan.isa);
  const int64_t depth = at.source_channels, phases = phase_count(at);
  const int64_t group_weights = plan.problem.in_channels * plan.problem.out_channels * at.kernel_cells;
  const int64_t cells = at.kernel_cells, filled = std::min<int64_t>(part.rows, at.rows - first);
  const int64_t rows = round_up(filled, 16), first_channel = first / at.stacked, register_part = rows * 16;
  const int64_t channels = (first + filled - 1) / at.stacked + 1 - first_channel;
  const S* from = weight + group * group_weights + first_channel * at.row_stride;

  // Where each element of each kernel is stored in the first block of 32 channels, and the step to the next
  // block.
  std::vector<int64_t> places(static_cast<size_t>(channels * cells), -1), steps(places.size());
  for (int64_t phase = 0; phase < phases; ++phase) {
    const PhaseTaps& own = at.phases[static_cast<size_t>(phase)];
    const int64_t taps = static_cast<int64_t>(own.kernel.size()),
                  start = own.before * at.blocks * part.parts * register_part;
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t place = start + t * part.parts * register_part + i * 16,
                      step = taps * part.parts * register_part;
        const int64_t r = first + i, channel = r / at.stacked - first_channel;
        const int64_t element =
            i < filled ? at.phases[static_cast<size_t>(phase + r % at.stacked)].kernel[static_cast<size_t>(t)]
                       : -1;
        if (element >= 0) {
          const size_t e = static_cast<size_t>(channel * cells + element);
          places[e] = place, steps[e] = step;
        } else {
          for (int64_t k = 0; k < at.blocks * part.parts; ++k)
            std::fill_n(block + place + k / part.parts * step + k % part.parts * register_part, 16, T(0));
        }
      }
  }
  // Kernels of adjacent channels are read as one, where they are contiguous.
  const int64_t run = at.row_stride == cells ? channels * cells : cells;
  bool lost = false;
  for (int64_t k = 0; k < at.blocks; ++k) {
    const int64_t count = std::min<int64_t>(32, depth - 32 * k);
    for (int64_t c = 0; c < channels * cells; c += run)
      for (int64_t e = 0; e < run; e += 16) {
        const int64_t some = std::min<int64_t>(16, run - e);
        int64_t own[16];
        bool any = false;
        for (int64_t i = 0; i < some; ++i) {
          const size_t at_e = static_cast<size_t>(c + e + i);
          own[i] = places[at_e] < 0 ? -1 : places[at_e] + k * steps[at_e];
          any = any || own[i] >= 0;
        }
        if (!any) continue;
        const S* square = from + 32 * k * at.depth_stride + c / cells * at.row_stride + e;
        if constexpr (Storage<S>::narrow) {
          T wide[32 * 16];
          for (int64_t d = 0; d < count; ++d)
            storage.loaded(square + d * at.depth_stride, some, wide + 16 * d);
          lost |= kernels.matrix.pack_kernels(wide, 16, count, some, part.parts, block, own, register_part);
        } else {
          lost |= kernels.matrix.pack_kernels(square, at.depth_stride, count, some, part.parts, block, own,
                                              register_part);
        }
      }
  }
  bool finite = true;
  if constexpr (std::is_same_v<T, float>)
    for (int64_t phase = 0; lost && phase < phases; ++phase)
      each_pair(part, at, first, phase, [&](int64_t place, int64_t t, int64_t i, int64_t d) {
        const int64_t in_group = weight_of(at, first + i, phase, t);
        if (in_group < 0) return;  // zeros, as bits too
        const S* own = weight + group * group_weights + in_group + d * at.depth_stride;
        const T even = storage.number(*own),
                odd = d + 1 < depth ? storage.number(own[at.depth_stride]) : T(0);
        finite = finite && even - even == 0 && odd - odd == 0;
        Pair{even, odd}.keep(of_phase(part, at, first, phase, block) + place, part.parts, register_part);
      });
  return !lost ? kParts : finite ? kBits : kInfinite;
}

template <class S>
bool unpack_matrix(const Plan& plan, const PhasesPlan& part, const Layout& at, const void* packed,
                   Block& weight) {
  const float* from = static_cast<const float*>(packed);
  const int64_t groups = plan.problem.groups, blocks = ceil_div(at.rows, part.rows);
  const float* marks = from + groups * at.packed_group;
  if (std::none_of(marks, marks + groups * blocks, [](float mark) { return mark == float{kInfinite}; }))
    return false;
  weight = Block(static_cast<size_t>(weight_count(plan.problem)) * sizeof(S));
  std::memset(weight.as<void>(), 0, weight.bytes());
  const auto put = [](float x, S* to) {
    if constexpr (Storage<S>::narrow) *to = narrowed(x, S{});
    else *to = x;
  };
  parallel_for(groups * blocks, plan.most_threads, [&](int64_t task, int) {
    const int64_t group = task / blocks, first = task % blocks * part.rows;
    const float* block = from + group * at.packed_group + first * at.depth * at.taps;
    S* own = weight.as<S>() + group * (weight_count(plan.problem) / groups);
    for (int64_t phase = 0; phase < phase_count(at); ++phase)
      each_pair(part, at, first, phase, [&](int64_t place, int64_t t, int64_t i, int64_t d) {
        const Pair pair = Pair::of(of_phase(part, at, first, phase, block) + place, part.parts,
                                   register_part(part, at, first), marks[task] != float{kParts});
        const int64_t in_group = weight_of(at, first + i, phase, t);
        if (in_group < 0) return;
        S* to = own + in_group + d * at.depth_stride;
        put(pair.even, to);
        if (d + 1 < at.source_channels) put(pair.odd, to + at.depth_stride);
      });
  });
  return true;
}

void unpack_phase(const PhasesPlan& part, const Layout& at, const float* own, int64_t first, int64_t phase,
                  bool lost, float* to) {
  const int64_t rows = std::min<int64_t>(part.rows, at.rows - first), depth = at.source_channels;
  each_pair(part, at, first, phase, [&](int64_t place, int64_t t, int64_t i, int64_t d) {
    const Pair pair = Pair::of(own + place, part.parts, register_part(part, at, first), lost);
    to[(t * depth + d) * rows + i] = pair.even;
    if (d + 1 < depth) to[(t * depth + d + 1) * rows + i] = pair.odd;
  });
}

// For matrix registers: [group][block of rows][phase, unless stacked][block of 32
// channels][tap][part][row][channel]
template <class S>
void pack_matrix(const Plan& plan, const PhasesPlan& part, const Layout& at, const S* weight, void* packed) {
  using T = typename Storage<S>::T;
  const int64_t blocks = ceil_div(at.rows, part.rows);
  T* marks = static_cast<T*>(packed) + plan.problem.groups * at.packed_group;
  parallel_for(plan.problem.groups * blocks, plan.most_threads, [&](int64_t task, int) {
    const int64_t group = task / blocks, first = task % blocks * part.rows;
    marks[task] = pack_block(plan, part, at, weight, group, first,
                             static_cast<T*>(packed) + group * at.packed_group + first * at.depth * at.taps);
  });
}

#define TCONV_WEIGHTS(S)                                                                              \
  template void pack_panels(const Plan&, const PhasesPlan&, const Layout&, const S*, S*);             \
  template void pack_matrix(const Plan&, const PhasesPlan&, const Layout&, const S*, void*);          \
  template Mark pack_block(const Plan&, const PhasesPlan&, const Layout&, const S*, int64_t, int64_t, \
                           typename Storage<S>::T*);                                                  \
  template bool unpack_panels(const Plan&, const PhasesPlan&, const Layout&, const S*, Block&);       \
  template bool unpack_matrix<S>(const Plan&, const PhasesPlan&, const Layout&, const void*, Block&);
TCONV_WEIGHTS(float)
TCONV_WEIGHTS(double)
TCONV_WEIGHTS(Half)
TCONV_WEIGHTS(Brain)

}  // namespace tconv
