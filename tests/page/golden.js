// What the page's modules say of a problem, in the shape of page_golden.py.
async (spellings) => {
  const { Geometry } = await import("./geometry.js");
  const { evenness } = await import("./facts.js");
  // What the turned kernel covers at an output, without the zeros: by rising tap, as the phases have it.
  const underWindow = (axis, o) =>
    axis.windowOf(o).map(([cell, tap]) => [axis.inputAt(cell), tap]).filter(([i]) => i >= 0).reverse();
  const describe = (text) => {
    const g = Geometry.parse(text);
    const zeros = g.zeroInsertion();
    return {
      spelling: String(g),
      output: g.output,
      phases: g.axis.map((axis) => axis.phases),
      taps_of_output: g.axis.map((axis) => Array.from({ length: axis.output }, (_, o) => axis.tapsOfOutput(o))),
      outputs_of_input: g.axis.map((axis) => Array.from({ length: axis.input }, (_, i) => axis.outputsOfInput(i))),
      evenness: [evenness(g).least, evenness(g).most],
      coverage: g.axis.map((axis) => axis.coverage()),
      macs: String(g.macs),
      macs_exact: String(g.macsExact),
      zero_insertion: [zeros.between, zeros.around, zeros.dilation],
      padded: g.axis.map((axis) => Array.from({ length: axis.padded }, (_, cell) => axis.inputAt(cell))),
      taps_of_windows: g.axis.map((axis) => Array.from({ length: axis.output }, (_, o) => underWindow(axis, o))),
    };
  };
  return spellings.map((text) => {
    try {
      return describe(text);
    } catch (fault) {
      return fault.constructor.name === "ProblemError" ? fault.message : `broken: ${fault.stack}`;
    }
  });
}
