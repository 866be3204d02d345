package import Models
package import Numerics

/// A model as the engine runs it: layers in execution order over numbered values.
///
/// Value 0 is the input. Each layer writes one value of its own and reads values written before it; the output is the
/// value of the last layer.
package struct Model: Sendable {
  /// What the key resolver reads; `structure.parameters` is the order of parameter tensors everywhere.
  package let structure: ModelStructure
  package let values: [ModelValue]
  package let layers: [any Layer]
  /// Ranges of layers of which only what crosses their borders is kept for the backward pass; empty where everything is.
  let recomputedBlocks: [Range<Int>]
  /// Nil where a sample is one row.
  let rules: SequenceRules?
  let formats: ActivationFormats
  /// What its rotary layers share, each once.
  private let rotaryTables: [RotaryTable]

  /// Elements of an input row: d + 1 + k.
  package var inputWidth: Int { values.first?.width ?? 0 }
  package var outputWidth: Int { outputValue < values.count ? values[outputValue].width : 0 }

  /// Whether its inputs stay in the format of arithmetic where activations are kept in 16 bits.
  var readsFullInputs: Bool { formats.isFull.first ?? false }

  var outputValue: Int { layers.last?.output ?? 0 }

  init(
    structure: ModelStructure, values: [ModelValue], layers: [any Layer], recomputedBlocks: [Range<Int>] = [],
    rules: SequenceRules? = nil, rotaryTables: [RotaryTable] = []
  ) {
    self.structure = structure
    self.values = values
    self.layers = layers
    self.recomputedBlocks = recomputedBlocks
    self.rules = rules
    formats = ActivationFormats(values: values.count, layers.flatMap(\.formatRules))
    self.rotaryTables = rotaryTables
  }

  /// Bytes of tables that running the model makes, beside weights and activations; nil on overflow.
  var tableBytes: Int? { Shape.sum(rotaryTables.map(\.byteCount)) }
  /// How many of them have been made; none before a pass has run.
  package var madeTableCount: Int { rotaryTables.count(where: \.isMade) }

  /// Where each layer's parameters lie in `structure.parameters`.
  var parameterRanges: [Range<Int>] {
    var next = 0
    return layers.map { layer in
      defer { next += layer.parameters.count }
      return next..<next + layer.parameters.count
    }
  }
}

extension Model {
  /// What the layers of a graph compute. Nothing of a stated size is made: rotary tables are when they are first needed.
  package init(_ graph: ModelGraph) {
    let table = graph.maximumTokens.flatMap { tokens in
      graph.rotaryFrequencies.isEmpty ? nil : RotaryTable(frequencies: graph.rotaryFrequencies, positions: tokens)
    }
    let spaces = Dictionary(graph.spaces.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    let layers = graph.layers.enumerated().map { index, layer in
      GraphReading(values: graph.values, spaces: spaces, table: table).layer(layer, writing: index + 1)
    }
    self.init(
      structure: ModelStructure(
        spaces: graph.spaces, layers: layers, input: graph.input.space, output: graph.output.space),
      values: graph.values, layers: layers, recomputedBlocks: graph.recomputedBlocks,
      rules: graph.maximumTokens.map {
        SequenceRules(maximumTokens: $0, needsPooledTokens: graph.needsPooledTokens)
      }, rotaryTables: table.map { [$0] } ?? [])
  }
}

/// Makes the layers of a valid graph.
private struct GraphReading {
  let values: [ModelValue]
  let spaces: [SpaceID: Space]
  /// Nil where no layer is rotary.
  let table: RotaryTable?

  func layer(_ layer: GraphLayer, writing output: Int) -> any Layer {
    let name = layer.name
    switch layer.operation {
    case .linear(let linear):
      let (source, target) = (values[linear.from], values[output])
      let base = LinearLayer(
        name: name, from: linear.from, source, to: output, target, homogeneous: spaces[source.space]?.homogeneous,
        activation: linear.activation, residual: linear.residual, linear.parameters)
      guard let lowRank = linear.lowRank, let rank = spaces[lowRank.rank] else { return base }
      return LowRankLinearLayer(base, input: source, output: target, rank: rank, scale: lowRank.scale)
    case .layerNorm(let norm):
      return LayerNormLayer(
        name: name, from: norm.from, to: output, values[norm.from], epsilon: norm.epsilon, isTrained: norm.isTrained)
    case .rootMeanSquareNorm(let norm):
      return RootMeanSquareNormLayer(
        name: name, from: norm.from, to: output, values[norm.from], epsilon: norm.epsilon)
    case .rotary(let rotary):
      let value = values[rotary.from]
      // A valid graph has frequencies where it has rotary layers.
      let table = table ?? RotaryTable(frequencies: [], positions: 1)
      return RotaryLayer(
        name: name, from: rotary.from, to: output, value, heads: heads(of: value).heads, table: table)
    case .attention(let attention):
      let heads = heads(of: values[attention.query])
      return AttentionLayer(
        name: name, inputs: layer.operation.inputs, layer.operation.inputs.map { values[$0] }, to: output,
        values[output],
        shape: AttentionShape(
          heads: heads.heads, groups: heads.groups, headWidth: heads.headWidth, isCausal: attention.isCausal))
    case .gate(let gate):
      return GatedLayer(name: name, gate: gate.gate, values[gate.gate], up: gate.up, values[gate.up], to: output)
    case .mean(let pooling):
      return MeanPoolLayer(name: name, from: pooling.from, to: output, values[pooling.from])
    case .selection(let pooling):
      return SelectLayer(name: name, from: pooling.from, to: output, values[pooling.from])
    }
  }

  /// The heads of a value's space, which are there in a valid graph; else the whole as one.
  private func heads(of value: ModelValue) -> HeadsForm {
    if case .heads(let form)? = spaces[value.space]?.form { return form }
    return HeadsForm(
      attention: "", rotation: "", heads: 1, groups: 1, headWidth: value.width, isRotary: false)
  }
}

extension Model {
  /// - Throws: `TrainingError.parameterCount`, `.parameterShape`, `.nonFiniteParameter` unless these are finite tensors of
  ///   the model's parameters, in the order of `structure.parameters`.
  package func check<Element: FloatingElement>(_ parameters: [Tensor<Element>]) throws(TrainingError) {
    guard parameters.count == structure.parameters.count else {
      throw .parameterCount(expected: structure.parameters.count, found: parameters.count)
    }
    for (tensor, specification) in zip(parameters, structure.parameters) {
      guard tensor.shape == specification.shape else {
        throw .parameterShape(name: specification.name, expected: specification.shape, found: tensor.shape)
      }
      guard Workers(threads: 1).allFinite(tensor) else { throw .nonFiniteParameter(name: specification.name) }
    }
  }
}
