// The algorithm `winograd`: where a phase has one or two taps (stride < kernel <= 2 * stride), all phases of
// a tile read the same window of the input, so one transform serves them all, and three outputs of a phase of
// two taps along an axis need four products instead of six.
#pragma once

#include <vector>

#include "lattice.hpp"
#include "plan.hpp"

namespace tconv {

// Everything that follows from a plan and is the same at every run. Along x, and along y if `tall`, three
// cells make a tile; else a tile is one row.
struct Winograd {
  Lattice y, x;
  bool tall;
  int64_t first_y, first_x;  // the source cell under the target's first one
  int64_t tile_rows;         // cells of a tile along y
  int64_t source_rows;       // rows of the source that a tile reads
  int64_t frequencies;       // products of a tile
  int64_t phases;            // of the target
  int64_t tiles[3];          // along batch, y, x
  int64_t boxes[3];
  // For each frequency the phases whose transformed weights are not zero, and for each phase its place among
  // them or -1: a phase that has one tap needs fewer products.
  std::vector<std::vector<int64_t>> active, place;
  std::vector<int64_t> before;  // active phases of earlier frequencies
  int64_t products;             // active phases of all frequencies
  int lanes;
  int64_t pitch;  // tiles of a box, padded to whole vectors
  int64_t chunks;
  Side source, target;
  int64_t block;  // channels that are read and stored together: one vector where channels are last, else 1
  int64_t reach;  // source cells of a box's row
  int64_t inputs, sums, lines, stored, turned, made;  // numbers of each part of the workspace
};

Winograd make_winograd(const Plan& plan);

struct Setup;
struct Arrays;
int64_t winograd_workspace(const Setup& setup);
int64_t winograd_packed(const Setup& setup);
void pack_winograd(const Setup& setup, const void* weight, void* packed);  // as they are computed
void run_winograd(const Setup& setup, const Arrays& arrays);

}  // namespace tconv
