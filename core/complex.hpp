// Complex numbers by real ones. A map on complex channels is a real map on twice as many, in which the real
// part of each channel is followed by its imaginary part:
//
//   (y_re, y_im) = (x_re, x_im) [ w_re  w_im ]
//                               [-w_im  w_re ]
//
// No map conjugates.
#pragma once

#include "method.hpp"

namespace tconv {

// Whether its numbers are complex and not left to the reference.
bool is_complex(const Plan& plan);

// The real plan by which a plan of complex numbers is carried out; others stay as they are.
Plan real_plan(Plan plan);

// `setup` and `method` are those of the real plan.
int64_t complex_packed(const Setup& setup,
                       const Method& method);  // bytes; real weights where `method` reads them as they are
void pack_complex(const Setup& setup, const Method& method, const void* weight, void* packed);
void run_complex(const Setup& setup, const Method& method, const Arrays& arrays);

}  // namespace tconv
