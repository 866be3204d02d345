import Models
import Numerics

/// Grows a transformer's graph layer by layer: numbers its values, names its spaces, and puts adapters where the job wants them.
struct TransformerBuilder {
  static let residual = SpaceID("residual")
  static let output = SpaceID("output")

  let description: TransformerDescription
  private(set) var values: [ModelValue] = []
  private var spaces: [Space] = []
  /// By name, so that a model of many blocks is not searched for each of its layers.
  private var widths: [SpaceID: Int] = [:]
  private var layers: [any Layer] = []
  private var blocks: [Range<Int>] = []
  /// Last components of the names of the linear layers that an adapter may target, in order of first use.
  private var adaptableNames: [String] = []

  /// A graph with the token vectors as value 0.
  init(_ description: TransformerDescription) {
    self.description = description
    addSpace(Self.residual, width: description.width)
    values.append(ModelValue(space: Self.residual, width: description.width, domain: .tokens))
  }

  // MARK: - Spaces and values

  mutating func addSpace(_ id: SpaceID, width: Int, form: SpaceForm = .whole) {
    guard widths.updateValue(width, forKey: id) == nil else { return }
    spaces.append(Space(id: id, width: width, form: form))
  }

  /// The number of a new value in `space`, which must have been added.
  private mutating func addValue(_ space: SpaceID, _ domain: RowDomain) -> Int {
    let width = widths[space] ?? 0
    values.append(ModelValue(space: space, width: width, domain: domain))
    return values.count - 1
  }

  // MARK: - Layers; each returns the number of the value it writes

  /// A linear layer of the pretrained model, with an adapter if the job has one for it.
  mutating func addLinear(
    _ name: String, from input: Int, to space: SpaceID, hasBias: Bool, activation: Activation? = nil,
    residual: Int? = nil, biasIsWithoutEffect: Bool = false
  ) -> Int {
    let parameters = LinearParameters.pretrained(
      hasBias: hasBias, isTrained: description.trained == .all, biasIsWithoutEffect: biasIsWithoutEffect)
    let target = addValue(space, values[input].domain)
    let layer = LinearLayer(
      name: name, from: input, values[input], to: target, values[target], activation: activation, residual: residual,
      parameters)
    let component = String(name.split(separator: ".").last ?? "")
    if !adaptableNames.contains(component) { adaptableNames.append(component) }
    guard let adaptation = description.trained.adaptation, adaptation.targets.contains(component) else {
      layers.append(layer)
      return target
    }
    addSpace(LowRankLinearLayer.rankSpace(of: name), width: adaptation.rank)
    layers.append(LowRankLinearLayer(layer, input: values[input], output: values[target], adaptation))
    return target
  }

  /// The linear layer that makes the outputs: fresh and trained, or a language model's own.
  mutating func addHead(_ name: String, from input: Int) {
    let head = description.head
    addSpace(Self.output, width: head.outputs)
    if head.isLanguageModel {
      guard description.trained == .head else {
        _ = addLinear(name, from: input, to: Self.output, hasBias: head.hasBias)
        return
      }
    }
    let target = addValue(Self.output, values[input].domain)
    layers.append(
      LinearLayer(
        name: name, from: input, values[input], to: target, values[target],
        head.isLanguageModel
          ? .pretrained(hasBias: head.hasBias, isTrained: true) : .classifier(hasBias: head.hasBias)))
  }

  mutating func addLayerNorm(_ name: String, from input: Int) -> Int {
    let target = addValue(values[input].space, values[input].domain)
    layers.append(
      LayerNormLayer(
        name: name, from: input, to: target, values[input], epsilon: description.normEpsilon,
        isTrained: description.trained == .all))
    return target
  }

  mutating func addRootMeanSquareNorm(_ name: String, from input: Int) -> Int {
    let target = addValue(values[input].space, values[input].domain)
    layers.append(
      RootMeanSquareNormLayer(
        name: name, from: input, to: target, values[input], epsilon: description.normEpsilon))
    return target
  }

  mutating func addRotary(_ name: String, from input: Int, heads: Int, _ table: RotaryTable) -> Int {
    let target = addValue(values[input].space, values[input].domain)
    layers.append(RotaryLayer(name: name, from: input, to: target, values[input], heads: heads, table: table))
    return target
  }

  mutating func addAttention(
    _ name: String, query: Int, key: Int, value: Int, to space: SpaceID, isCausal: Bool
  ) -> Int {
    let target = addValue(space, values[query].domain)
    let shape = AttentionShape(
      heads: description.heads, groups: description.keyValueHeads, headWidth: description.headWidth,
      isCausal: isCausal)
    layers.append(
      AttentionLayer(
        name: name, inputs: [query, key, value], [query, key, value].map { values[$0] }, to: target, values[target],
        shape: shape))
    return target
  }

  mutating func addGate(_ name: String, gate: Int, up: Int) -> Int {
    let target = addValue(values[up].space, values[up].domain)
    layers.append(GatedLayer(name: name, gate: gate, values[gate], up: up, values[up], to: target))
    return target
  }

  /// The pooled token's row of each sample.
  mutating func addSelection(_ name: String, from input: Int) -> Int {
    let target = addValue(values[input].space, .samples)
    layers.append(SelectLayer(name: name, from: input, to: target, values[input]))
    return target
  }

  mutating func addMean(_ name: String, from input: Int) -> Int {
    let target = addValue(values[input].space, .samples)
    layers.append(MeanPoolLayer(name: name, from: input, to: target, values[input]))
    return target
  }

  // MARK: - Parts of a model

  /// The four spaces of block `block`'s attention, in one order of heads.
  mutating func addAttentionSpaces(block: Int) -> (query: SpaceID, key: SpaceID, value: SpaceID, context: SpaceID) {
    let isRotary = description.rotary != nil
    func add(_ name: String, heads: Int, rotation: String, isRotary: Bool) -> SpaceID {
      let id = SpaceID("layers.\(block).\(name)")
      addSpace(
        id, width: heads * description.headWidth,
        form: .heads(
          HeadsForm(
            attention: "layers.\(block).attention", rotation: rotation, heads: heads, groups: description.keyValueHeads,
            headWidth: description.headWidth, isRotary: isRotary)))
      return id
    }
    return (
      add("query", heads: description.heads, rotation: "qk", isRotary: isRotary),
      add("key", heads: description.keyValueHeads, rotation: "qk", isRotary: isRotary),
      add("value", heads: description.keyValueHeads, rotation: "vo", isRotary: false),
      add("context", heads: description.heads, rotation: "vo", isRotary: false)
    )
  }

  /// Marks what `build` adds as one block.
  mutating func addBlock(_ build: (inout TransformerBuilder) -> Int) -> Int {
    let first = layers.count
    let output = build(&self)
    blocks.append(first..<layers.count)
    return output
  }

  /// - Throws: `TrainingError.invalidModel` for an adapter's target that no linear layer has, with the names there are.
  func model(rotaryTables: [RotaryTable] = []) throws(TrainingError) -> Model {
    if let adaptation = description.trained.adaptation {
      for target in adaptation.targets where !adaptableNames.contains(target) {
        throw .invalidModel(
          "no linear layer is named \"\(target)\" for an adapter; there are: \(adaptableNames.joined(separator: ", "))")
      }
    }
    return Model(
      structure: ModelStructure(spaces: spaces, layers: layers, input: Self.residual, output: Self.output),
      values: values, layers: layers, blocks: blocks, rotaryTables: rotaryTables)
  }
}

extension TransformerDescription {
  /// The limits that keep a description from costing time or memory before anything is computed with it.
  private static var maxBlocks: Int { 1024 }
  private static var maxTokens: Int { 1 << 20 }

  /// Width of all query heads together.
  var queryWidth: Int { heads * headWidth }
  /// Width of all heads of keys, or of values, together.
  var keyWidth: Int { keyValueHeads * headWidth }
  /// What the rows of everything after the last block's keys and values are.
  var headDomain: RowDomain { head.pooling == .none ? .tokens : .samples }
  /// Whether the last block is computed for the pooled token alone: nothing after its keys and values mixes tokens.
  var prunesLastBlock: Bool { head.pooling == .cls || head.pooling == .last }

  /// - Throws: `TrainingError.invalidModel` naming the first number out of its range, `.tooLarge` for sizes whose product
  ///   overflows. The products above are safe after it.
  func validate() throws(TrainingError) {
    for (number, name) in [
      (width, "width"), (blocks, "blocks"), (heads, "heads"), (keyValueHeads, "keyValueHeads"),
      (headWidth, "headWidth"), (hidden, "hidden"), (head.outputs, "outputs"), (maximumTokens, "maximumTokens"),
    ] where number < 1 {
      throw .invalidModel("\(name) must be at least 1, not \(number)")
    }
    guard blocks <= Self.maxBlocks else { throw .invalidModel("\(blocks) blocks; at most \(Self.maxBlocks)") }
    guard maximumTokens <= Self.maxTokens else {
      throw .invalidModel("samples of \(maximumTokens) tokens; at most \(Self.maxTokens)")
    }
    guard normEpsilon.isFinite, normEpsilon > 0 else { throw .invalidModel("normEpsilon must be above 0") }
    guard heads % keyValueHeads == 0 else {
      throw .invalidModel("\(heads) heads are not a multiple of \(keyValueHeads) heads of keys and values")
    }
    if let rotary { try validate(rotary) }
    if let adaptation = trained.adaptation { try validate(adaptation) }
    for shape in [
      [heads, headWidth, width], [hidden, width], [head.outputs, width], [width, width],
      [trained.adaptation?.rank ?? 1, width], [trained.adaptation?.rank ?? 1, hidden],
    ] where Shape.byteCount(shape, .float64) == nil {
      throw .tooLarge
    }
  }

  private func validate(_ rotary: RotaryDescription) throws(TrainingError) {
    guard headWidth % 2 == 0, rotary.frequencies.count == headWidth / 2 else {
      throw .invalidModel("\(rotary.frequencies.count) rotary frequencies for heads of width \(headWidth)")
    }
    guard rotary.frequencies.allSatisfy(\.isFinite) else {
      throw .invalidModel("rotary frequencies must be finite numbers")
    }
  }

  private func validate(_ adaptation: LowRankAdaptation) throws(TrainingError) {
    guard adaptation.rank >= 1 else { throw .invalidModel("the rank of an adapter must be at least 1") }
    guard adaptation.alpha.isFinite else { throw .invalidModel("alpha of an adapter must be a finite number") }
    guard !adaptation.targets.isEmpty else { throw .invalidModel("an adapter needs at least one target") }
  }
}
