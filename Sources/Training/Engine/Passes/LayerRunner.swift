import Tensors

/// Runs the layers of a model in the order of a plan, on the memory that the plan gives each matrix.
struct LayerRunner<Element: FloatingElement> {
  /// What one pass is over, and where.
  struct Pass {
    /// Rows within the part's memory; the working memory is used from its first row.
    let span: RowSpan
    /// Nil where a sample is one row.
    let sequences: SequenceLayout?
    /// Nil in inference.
    let part: MatrixMemory<Element>?
    /// The model's input where the plan has no place for it.
    var input: MatrixView<Element>?
  }

  private let model: Model
  private let flow: GradientFlow
  private let parameterRanges: [Range<Int>]
  private let weights: [MatrixView<Element>]
  private let workers: Workers
  let working: MatrixMemory<Element>

  init(
    _ model: Model, flow: GradientFlow, weights: [MatrixView<Element>], working: MatrixMemory<Element>,
    workers: Workers
  ) {
    self.model = model
    self.flow = flow
    parameterRanges = model.parameterRanges
    self.weights = weights
    self.working = working
    self.workers = workers
  }

  /// The memory of a matrix in a pass; nil where the plan has none for it.
  func view(_ matrix: ModelMatrix, _ plan: PassPlan, _ pass: Pass) -> MatrixView<Element>? {
    switch plan.places[matrix] {
    case .part(let number): pass.part?.view(number) { pass.span.rows($0) }
    case .working(let slot): working.view(slot) { 0..<pass.span.rows($0).count }
    case nil: matrix == .value(0) ? pass.input : nil
    }
  }

  /// Runs `plan`.
  ///
  /// - Parameters:
  ///   - gradients: of every parameter, nil for one that is not trained; empty without backward passes.
  ///   - finished: called after each layer's backward pass: its parameters' gradients stand.
  /// - Returns: the sum of squares over the gradients as they stand after it.
  @discardableResult
  func run(
    _ plan: PassPlan, _ pass: Pass, gradients: [ParameterGradient<Element>?] = [], finished: ((Int) -> Void)? = nil
  ) -> Double {
    var squares = 0.0
    // A value's gradient is complete once all its readers, which come later in the model, have run.
    var written = Set<Int>()
    for step in plan.passes {
      switch step {
      case .forward(let layer): forward(layer, plan, pass)
      case .backward(let layer):
        squares += backward(layer, plan, pass, gradients, &written)
        finished?(layer)
      }
    }
    return squares
  }

  private func forward(_ index: Int, _ plan: PassPlan, _ pass: Pass) {
    let layer = model.layers[index]
    let inputs = layer.inputs.compactMap { view(.value($0), plan, pass) }
    guard let output = view(.value(layer.output), plan, pass), inputs.count == layer.inputs.count else { return }
    layer.forward(
      ForwardPass(
        workers: workers, sequences: pass.sequences, parameters: weights[parameterRanges[index]], inputs: inputs,
        output: output, kept: view(.kept(index), plan, pass)))
  }

  private func backward(
    _ index: Int, _ plan: PassPlan, _ pass: Pass, _ gradients: [ParameterGradient<Element>?],
    _ written: inout Set<Int>
  ) -> Double {
    let layer = model.layers[index]
    guard let outputGradient = view(.gradient(layer.output), plan, pass) else { return 0 }
    // Of values that the layer does not read here, only the shape is right; what is there may be another's.
    func value(_ number: Int) -> MatrixView<Element> {
      if layer.valuesReadBackward.contains(number), let view = view(.value(number), plan, pass) { return view }
      let value = model.values[number]
      return MatrixView(outputGradient.base, rows: pass.span.rows(value.domain).count, columns: value.width)
    }
    let inputGradients = layer.inputs.map { number -> InputGradient<Element>? in
      guard flow.reachesValue[number], let gradient = view(.gradient(number), plan, pass) else { return nil }
      return InputGradient(view: gradient, accumulates: !written.insert(number).inserted)
    }
    return layer.backward(
      BackwardPass(
        workers: workers, sequences: pass.sequences, parameters: weights[parameterRanges[index]],
        inputs: layer.inputs.map(value), output: value(layer.output), kept: view(.kept(index), plan, pass),
        outputGradient: outputGradient, inputGradients: inputGradients,
        parameterGradients: gradients[parameterRanges[index]]))
  }
}
