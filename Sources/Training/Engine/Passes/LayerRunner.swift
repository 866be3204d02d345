import Models
import Numerics

/// Runs the layers of a model in the order of a plan, on the memory that the plan gives each matrix.
struct LayerRunner<Element: ActivationElement> {
  /// What one pass is over, and where.
  struct Pass {
    /// Rows within the part's memory; the working memory is used from its first row.
    let span: RowSpan
    /// Nil where a sample is one row.
    let sequences: SequenceLayout?
    /// Nil in inference.
    let part: MatrixMemory<Element>?
    /// The model's input where the plan has no place for it.
    var input: StoredMatrix<Element.Accumulator>?
    /// The sessions that the samples continue; nil where each sample is whole.
    var sessions: ContinuedSessions<Element>? = nil
  }

  private let model: Model
  private let flow: GradientFlow
  private let parameterRanges: [Range<Int>]
  private let weights: [MatrixView<Element.Accumulator>]
  private let packed: PackedWeights
  private let compute: Compute
  let working: MatrixMemory<Element>

  /// - Parameter packed: of `weights`, by this `compute`.
  init(
    _ model: Model, flow: GradientFlow, weights: [MatrixView<Element.Accumulator>], packed: PackedWeights,
    working: MatrixMemory<Element>, compute: Compute
  ) {
    self.model = model
    self.flow = flow
    parameterRanges = model.parameterRanges
    self.weights = weights
    self.packed = packed
    self.working = working
    self.compute = compute
  }

  /// The memory of a matrix in a pass; nil where the plan has none for it.
  func view(_ matrix: ModelMatrix, _ plan: PassPlan, _ pass: Pass) -> StoredMatrix<Element.Accumulator>? {
    switch plan.places[matrix] {
    case .part(let number): pass.part?.view(number) { pass.span.rows($0) }
    case .working(let slot): working.view(slot) { 0..<pass.span.rows($0).count }
    case nil: matrix == .value(0) ? pass.input : nil
    }
  }

  /// The memory of what a layer keeps; nil where the plan has none for it.
  private func kept(_ layer: Int, _ plan: PassPlan, _ pass: Pass) -> MatrixView<Element>? {
    view(.kept(layer), plan, pass).flatMap(Element.view)
  }

  /// The same of what it keeps in the format of arithmetic.
  private func statistics(_ layer: Int, _ plan: PassPlan, _ pass: Pass) -> MatrixView<Element.Accumulator>? {
    view(.statistics(layer), plan, pass)?.full
  }

  /// Runs `plan`.
  ///
  /// - Parameters:
  ///   - gradients: of every parameter, nil for one that is not trained; empty without backward passes.
  ///   - norms: of each sample, to which every layer's share is added, the square of it; nil where nobody asks.
  ///   - finished: called after each layer's backward pass: its parameters' gradients stand.
  /// - Returns: the sum of squares over the gradients as they stand after it.
  @discardableResult
  func run(
    _ plan: PassPlan, _ pass: Pass, gradients: [ParameterGradient<Element.Accumulator>?] = [],
    norms: PartialSums? = nil,
    finished: ((Int) -> Void)? = nil
  ) -> Double {
    packed.refresh(weights, compute)
    var squares = 0.0
    var inputs = PackedInputs()
    // A value's gradient is complete once all its readers, which come later in the model, have run.
    var written = Set<Int>()
    for step in plan.passes {
      switch step {
      case .forward(let layer): forward(layer, plan, pass, &inputs)
      case .backward(let layer):
        squares += backward(layer, plan, pass, gradients, norms, &inputs, &written)
        finished?(layer)
      }
    }
    return squares
  }

  /// Whose rows are which in a value.
  func samples(of value: Int, _ pass: Pass) -> SampleRows {
    if let sequences = pass.sequences, model.values[value].domain == .tokens {
      return SampleRows(tokensOf: sequences)
    }
    return SampleRows(count: pass.span.samples.count)
  }

  private func forward(_ index: Int, _ plan: PassPlan, _ pass: Pass, _ packedInputs: inout PackedInputs) {
    let layer = model.layers[index]
    let inputs = layer.inputs.compactMap { view(.value($0), plan, pass) }
    guard let output = view(.value(layer.output), plan, pass), inputs.count == layer.inputs.count else { return }
    layer.forward(
      ForwardPass(
        compute: compute, sequences: pass.sequences, parameters: weights[parameterRanges[index]],
        packed: packed.weights[parameterRanges[index]], packedInput: packedRows(index, plan, pass, &packedInputs),
        inputs: inputs, output: output,
        kept: kept(index, plan, pass), statistics: statistics(index, plan, pass),
        past: pass.sessions?.past(ofLayer: index)))
  }

  private func backward(
    _ index: Int, _ plan: PassPlan, _ pass: Pass, _ gradients: [ParameterGradient<Element.Accumulator>?],
    _ norms: PartialSums?, _ packedInputs: inout PackedInputs, _ written: inout Set<Int>
  ) -> Double {
    let layer = model.layers[index]
    guard let outputGradient = view(.gradient(layer.output), plan, pass) else { return 0 }
    // Of values that the layer does not read here, only the shape is right; what is there may be another's.
    func value(_ number: Int) -> StoredMatrix<Element.Accumulator> {
      if layer.valuesReadBackward.contains(number), let view = view(.value(number), plan, pass) { return view }
      let value = model.values[number]
      return StoredMatrix(
        shape: pass.span.rows(value.domain).count, value.width, isFull: model.formats.isFull[number],
        at: outputGradient)
    }
    let inputGradients = layer.inputs.map { number -> InputGradient<Element.Accumulator>? in
      guard flow.reachesValue[number], let gradient = view(.gradient(number), plan, pass) else { return nil }
      return InputGradient(view: gradient, accumulates: !written.insert(number).inserted)
    }
    let backwardPass = BackwardPass(
      compute: compute, sequences: pass.sequences, parameters: weights[parameterRanges[index]],
      packed: packed.weights[parameterRanges[index]], packedInput: packedColumns(index, plan, pass, &packedInputs),
      inputs: layer.inputs.map(value), output: value(layer.output),
      kept: kept(index, plan, pass), statistics: statistics(index, plan, pass), outputGradient: outputGradient,
      inputGradients: inputGradients,
      parameterGradients: gradients[parameterRanges[index]])
    let squares = layer.backward(backwardPass)
    if let norms, let layer = layer as? any SampleNormLayer {
      layer.addSampleSquares(backwardPass, of: samples(of: layer.output, pass), to: norms)
    }
    return squares
  }
}

// MARK: - Values that several products read

/// What has been packed in a run of a plan. Its memory is the plan's, which gives it to other matrices once the last product has read it.
private struct PackedInputs {
  var rows: [Int: PackedRows] = [:]
  var columns: [Int: PackedMatrix] = [:]
}

extension LayerRunner {
  /// A layer's first input as left operand, packed by the first layer that asks; nil where the plan has no memory for that.
  private func packedRows(
    _ layer: Int, _ plan: PassPlan, _ pass: Pass, _ inputs: inout PackedInputs
  ) -> PackedRows? {
    guard let value = model.layers[layer].inputs.first, case .working(let slot) = plan.places[.packedRows(value)],
      model.layers[layer].productsOfInput(.forward) > 0
    else { return nil }
    if let packed = inputs.rows[value] { return packed }
    guard let matrix = view(.value(value), plan, pass) as? StoredMatrix<Float>,
      let packed = working.packedRows(slot, rows: { pass.span.rows($0) })
    else { return nil }
    compute.pack(matrix, into: packed)
    inputs.rows[value] = packed
    return packed
  }

  /// The same as right operand of the products of a backward pass.
  private func packedColumns(
    _ layer: Int, _ plan: PassPlan, _ pass: Pass, _ inputs: inout PackedInputs
  ) -> PackedMatrix? {
    guard let value = model.layers[layer].inputs.first, case .working(let slot) = plan.places[.packedColumns(value)],
      model.layers[layer].productsOfInput(.backward) > 0
    else { return nil }
    if let packed = inputs.columns[value] { return packed }
    guard let matrix = view(.value(value), plan, pass) as? StoredMatrix<Float>,
      let packed = working.packedColumns(slot, rows: { pass.span.rows($0) })
    else { return nil }
    compute.pack(matrix, transposed: false, into: packed)
    inputs.columns[value] = packed
    return packed
  }
}
