// Products of `col2im` in short rows: which of them each vector of sums consists of.
//
// Rows of a small map are shorter than vectors, and each kernel element shifts them by another number of
// cells. So vectors of sums, which begin at whole vectors of cells, collect vectors of products that begin
// anywhere; a mask excludes what lies beside the row. A sum is loaded and stored once for a piece, not once
// for each term.
#pragma once

#include "col2im.hpp"

namespace tconv {

// Whether a plan collects.
bool collects(const Plan& plan, const Col2im& at);

// Fills in what to collect, for all boxes; all sizes are known.
void collect(const Plan& plan, Col2im& at);

}  // namespace tconv
