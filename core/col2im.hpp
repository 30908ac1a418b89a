// The algorithm `col2im`: a matrix product whose rows are kernel elements with their target channels and
// whose columns are positions of the source. Each sum is then added to the one output that it belongs to.
//
// Each number of the source is read once, where it lies, for all kernel elements, and nothing is multiplied
// but what exists: no gaps between rows, no zeros. A block of columns is added before it leaves the cache.
// That costs two loads and a store for each sum, so it pays where a sum has many terms, which are source
// channels.
//
// A task owns rows of the source. Rows of the target that a single task reaches are finished by it: bias,
// activation, store. Where kernels reach from one task's rows to those of the next, both leave their parts in
// shared memory, and a second pass adds them in order. Along x, tasks own cells of the target instead, and
// multiply the few positions between them twice.
#pragma once

#include <vector>

#include "kernels/kernel_set.hpp"
#include "plan.hpp"

namespace tconv {

// Along z or y: which rows of the target the boxes reach. Each row of the target is within at least one.
struct Reach {
  std::vector<int64_t> begin, end;   // of each box, rows of the target
  std::vector<int64_t> first, last;  // of each row of the target, the boxes that it is within
};

// Positions of the source that are multiplied together: whole rows, or a piece of one. Rows are counted over
// planes.
struct Piece {
  int64_t row, rows, x, width;
  int64_t count() const { return rows * width; }
};

// Which sums the products of a piece are added to: vectors of sums and their terms.
struct Collected {
  std::vector<CollectVector> vectors;
  std::vector<CollectTerm> terms;
};

// Everything that follows from a plan and is the same at every run. Sizes count numbers.
struct Col2im {
  int lanes;
  int64_t kernel;    // elements
  int64_t cells;     // of the target along x, each of `stride` outputs
  int64_t boxes[4];  // along batch, z, y, x
  int64_t chunks;    // of target channels
  Reach z, y;
  std::vector<int64_t> phase, shift;  // of each kernel element along x: input i reaches phase `phase` of
  int64_t nearest, farthest;          // cell i + shift; the least and the greatest shift
  std::vector<std::array<int64_t, 2>> shared;  // rows (z, y) of the target that several boxes reach
  Side source, target;
  int64_t source_plane, target_plane;
  int64_t source_size;                  // of the whole array
  bool staged;                          // whether the source is copied before it is multiplied
  int64_t pitch;                        // of a row of sums, from a phase to the next
  int64_t columns;                      // of a block of products, from a row to the next
  int64_t row;                          // accumulated sums of one row of the target, all channels of a task
  int64_t rows_y, sums;                 // rows of a box's sums along y; all sums of one batch item
  int64_t packed_chunk;                 // packed weights
  int64_t before;                       // numbers before the products that vectors may read
  int64_t products, stage, line, turn;  // numbers of each part of the workspace

  // Of all pieces of a box, one after the other, by its index along z and y; none where rows are long.
  std::vector<std::vector<Collected>> collected;
  std::vector<uint32_t> masks;  // of their terms, `lanes` numbers each

  int64_t box_count() const { return boxes[0] * boxes[1] * boxes[2] * boxes[3]; }
};

Col2im make_col2im(const Plan& plan);

struct Setup;
struct Arrays;
int64_t col2im_workspace(const Setup& setup);
int64_t col2im_shared(const Setup& setup);  // bytes of all threads together
int64_t col2im_packed(const Setup& setup);
void pack_col2im(const Setup& setup, const void* weight, void* packed);  // as they are computed
void run_col2im(const Setup& setup, const Arrays& arrays);

}  // namespace tconv
