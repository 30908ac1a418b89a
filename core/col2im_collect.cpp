#include "col2im_collect.hpp"

#include <map>

#include "col2im_walk.hpp"
#include "table.hpp"

namespace tconv {
namespace {

// Terms of all boxes together, 8 bytes each, so that they stay in the second-level cache; vectors of a row.
constexpr int64_t kMostTerms = 1 << 15, kMostVectors = 4;

}  // namespace

bool collects(const Plan& plan, const Col2im& at) {
  const Problem& p = plan.problem;
  const Col2imPlan& part = std::get<Col2imPlan>(plan.part);
  const int64_t width = p.input[2], vectors = ceil_div(width, int64_t{at.lanes}) + 1;
  return part.lanes == Col2imLanes::positions && at.boxes[3] == 1 && width <= part.positions &&
         width <= kMostVectors * at.lanes && p.input[0] * p.input[1] * at.kernel * vectors <= kMostTerms;
}

void collect(const Plan& plan, Col2im& at) {
  const Problem& p = plan.problem;
  const Col2imPlan& part = std::get<Col2imPlan>(plan.part);
  const int64_t lanes = at.lanes;
  const size_t words = static_cast<size_t>(sums_size(plan)) / sizeof(uint32_t);
  std::map<std::pair<int64_t, int64_t>, int32_t> masks;
  const auto mask_of = [&](int64_t begin, int64_t end) {
    const auto [found, added] =
        masks.try_emplace({begin, end}, static_cast<int32_t>(masks.size()) * at.lanes);
    if (added)
      for (int64_t lane = 0; lane < lanes; ++lane)
        at.masks.insert(at.masks.end(), words, lane >= begin && lane < end ? ~uint32_t{0} : 0);
    return found->second;
  };
  for (int64_t z = 0; z < at.boxes[1]; ++z)
    for (int64_t y = 0; y < at.boxes[2]; ++y) {
      auto& box = at.collected.emplace_back();
      const int64_t out_z = at.z.begin[static_cast<size_t>(z)], out_y = at.y.begin[static_cast<size_t>(y)];
      each_piece(plan, at, part.box, z, y, 0, at.cells, [&](const Piece& piece) {
        std::map<int64_t, std::vector<CollectTerm>> sums;  // by the place of the vector
        each_kernel_row(p, piece, out_z, out_y, at.rows_y,
                        [&](int64_t place, int64_t row, int64_t rows, int64_t element) {
                          for (int64_t k = 0; k < p.kernel[2]; ++k) {
                            const int64_t cell = at.shift[static_cast<size_t>(k)];
                            const Range own = within(cell, 1, piece.width, at.cells);
                            if (own.begin == own.end) continue;
                            const int64_t first = cell + own.begin, end = cell + own.end;
                            for (int64_t i = 0; i < rows; ++i)
                              for (int64_t v = first / lanes; v * lanes < end; ++v) {
                                const int64_t from =
                                    (element + k) * at.columns + (row + i) * piece.width + v * lanes - cell;
                                const int64_t to = (place + i * p.stride[1]) * at.row +
                                                   at.phase[static_cast<size_t>(k)] * at.pitch + v * lanes;
                                const int32_t mask = mask_of(std::max<int64_t>(0, first - v * lanes),
                                                             std::min(lanes, end - v * lanes));
                                sums[to].push_back({static_cast<int32_t>(from), mask});
                              }
                          }
                        });
        Collected& out = box.emplace_back();
        for (const auto& [to, terms] : sums) {
          const auto begin = static_cast<int32_t>(out.terms.size());
          out.terms.insert(out.terms.end(), terms.begin(), terms.end());
          out.vectors.push_back({to, begin, static_cast<int32_t>(out.terms.size())});
        }
      });
    }
}

}  // namespace tconv
