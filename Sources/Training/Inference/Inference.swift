import Models
import Numerics

/// Forward passes that keep nothing, over any number of rows: those of a `TrainingEngine` and of a `HostedModel`.
struct Inference<Stored: ActivationElement> {
  typealias Element = Stored.Accumulator

  /// Rows or tokens whose activations are in memory at once: enough for the multiplications to run at full speed.
  static var blockRows: Int { 256 }
  static var blockTokens: Int { 1024 }

  private let model: Model
  private let plan: PassPlan
  /// Kept between calls; grows to the largest input asked for.
  private var input: InputRows<Stored>
  /// Inputs on their way into the format of activations, where that is another one.
  private var arriving: MatrixBuffer<Element>

  init(_ model: Model, _ plan: PassPlan) {
    self.model = model
    self.plan = plan
    input = InputRows(model)
    arriving = MatrixBuffer(rows: 0, columns: model.inputWidth)
  }

  /// The maximum rows that are worked on at once; one sample may be longer than a block.
  static func largestBlock(_ rules: SequenceRules?) -> RowCounts {
    guard let rules else { return RowCounts(samples: blockRows, tokens: 0) }
    return RowCounts(samples: blockTokens, tokens: max(blockTokens, rules.maximumTokens))
  }

  /// Outputs of `rows` samples, `[samples or tokens, outputs]`.
  ///
  /// - Parameters:
  ///   - runner: with the weights and the working memory.
  ///   - memoryLimit: the most rows that the working memory need ever hold.
  ///   - filling: writes the inputs, row-major.
  /// - Throws: what `filling` throws; `TrainingError.invalidSetting` unless `rows` is at least 1, `.sequences`, `.tooLarge`.
  mutating func run(
    rows: Int, sequences: SequenceLayout?, on runner: LayerRunner<Stored>,
    memoryLimit: RowCounts, filling: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws -> Tensor<Element> {
    guard rows >= 1 else { throw TrainingError.invalidSetting("inference needs at least 1 row") }
    try model.check(sequences, samples: rows)
    let inputRows = sequences?.tokens ?? rows
    let outputDomain = model.values[model.outputValue].domain
    let outputRows = outputDomain == .tokens ? inputRows : rows
    guard Shape.byteCount([inputRows, model.inputWidth], Element.elementType) != nil,
      Shape.byteCount([outputRows, model.outputWidth], Element.elementType) != nil
    else { throw TrainingError.tooLarge }
    let source = input.rows(inputRows)
    var arriving = arriving
    defer { self.arriving = arriving }
    let room = {
      if arriving.rows < inputRows {
        arriving = MatrixBuffer(rows: 0, columns: source.columns)
        arriving = MatrixBuffer(uninitializedRows: inputRows, columns: source.columns)
      }
      return arriving.view.base
    }
    try source.withSums(keeping: false, in: room) { source in
      try filling(UnsafeMutableBufferPointer(start: source.base, count: source.count))
    }
    var result = Tensor<Element>(uninitialized: [outputRows, model.outputWidth])
    result.withUnsafeMutableBufferPointer { target in
      guard var next = target.baseAddress else { return }
      var first = 0
      while first < rows {
        let (block, span, layout) = Self.block(from: first, rows: rows, sequences)
        runner.working.reserve(RowCounts(span), limit: memoryLimit)
        let inputBlock = sequences.map { $0.offsets[block.lowerBound]..<$0.offsets[block.upperBound] } ?? block
        let pass = LayerRunner<Stored>.Pass(
          span: span, sequences: layout, part: nil, input: source.rows(inputBlock))
        runner.run(plan, pass)
        if let outputs = runner.view(.value(model.outputValue), plan, pass) {
          outputs.widen(into: MatrixView(next, rows: outputs.rows, columns: outputs.columns))
          next += outputs.count
        }
        first = block.upperBound
      }
    }
    return result
  }

  /// The next samples that are worked on together, what they are in a block of their own, and its layout.
  private static func block(
    from first: Int, rows: Int, _ sequences: SequenceLayout?
  ) -> (block: Range<Int>, span: RowSpan, layout: SequenceLayout?) {
    guard let sequences else {
      let block = first..<min(rows, first + blockRows)
      return (block, RowSpan(samples: 0..<block.count), nil)
    }
    let start = sequences.offsets[first]
    var end = first + 1
    while end < rows, sequences.offsets[end + 1] - start <= blockTokens { end += 1 }
    let layout = sequences.samples(first..<end)
    return (first..<end, RowSpan(layout), layout)
  }
}

extension SequenceLayout {
  /// The layout of consecutive samples alone.
  func samples(_ range: Range<Int>) -> SequenceLayout {
    let start = offsets[range.lowerBound]
    return SequenceLayout(
      offsets: offsets[range.lowerBound...range.upperBound].map { $0 - start },
      pooled: pooled.isEmpty ? [] : pooled[range].map { $0 - start })
  }
}
