import Foundations

/// Builds up the values of a graph layer by layer and refuses what could not be trained. Time and memory grow with what was stated
/// in full, not with sizes that were.
struct GraphValidation {
  static let maxWidth = 1 << 24
  static let maxPadding = 4096
  static let maxTokens = 1 << 20
  static let maxLayers = 1 << 14
  static let maxHeads = 4096
  static let maxHeadWidth = 4096
  static let maxParameters = 1 << 40
  /// Unicode scalars.
  static let maxNameLength = 200

  private let spaces: [Space]
  private let numbers: [SpaceID: Int]
  private let sequences: Bool
  private let planes: Int
  private(set) var values: [ModelValue] = []
  private var isUsed: [Bool]
  private var isRead = [false]
  private var layerNames: [String] = []
  private var parameterNames: Set<String> = []
  private var parameters = 0
  private var hasRotaryLayer = false

  /// - Parameter layers: how many will be added.
  init(
    spaces: [Space], maximumTokens: Int?, rotaryFrequencies: [Double], layers: Int
  ) throws(GraphError) {
    try Self.check("layers", layers, 1...Self.maxLayers)
    // Each layer has at most one space of its own and that of a low rank.
    try Self.check("spaces", spaces.count, 1...2 * Self.maxLayers + 1)
    if let maximumTokens { try Self.check("tokens of a sample", maximumTokens, 1...Self.maxTokens) }
    guard rotaryFrequencies.count <= Self.maxHeadWidth / 2 else {
      throw .rotaryFrequencies("must be at most \(Self.maxHeadWidth / 2)")
    }
    guard rotaryFrequencies.allSatisfy(\.isFinite) else { throw .rotaryFrequencies("must be finite numbers") }
    var numbers: [SpaceID: Int] = [:]
    for (number, space) in spaces.enumerated() {
      try Self.check(name: space.id.name)
      guard numbers.updateValue(number, forKey: space.id) == nil else { throw .repeated(space.id.name) }
      try Self.checkWidth(of: space, isInput: number == 0)
    }
    self.spaces = spaces
    self.numbers = numbers
    sequences = maximumTokens != nil
    planes = rotaryFrequencies.count
    isUsed = [Bool](repeating: false, count: spaces.count)
    for space in spaces { try checkForm(of: space) }
    append(spaces[0], sequences ? .tokens : .samples)
  }

  // MARK: - Spaces

  private static func checkWidth(of space: Space, isInput: Bool) throws(GraphError) {
    guard let homogeneous = space.homogeneous else {
      return try check("width of \(space.id)", space.width, 1...maxWidth)
    }
    guard isInput else { throw .spaceForm(space.id.name, problem: "only the input is in homogeneous coordinates") }
    try check("features", homogeneous.features, 1...maxWidth)
    try check("padding", homogeneous.padding, 0...maxPadding)
    guard space.width == homogeneous.width, space.form == .whole else {
      throw .spaceForm(space.id.name, problem: "its width is not that of its homogeneous coordinates")
    }
  }

  private func checkForm(of space: Space) throws(GraphError) {
    let name = space.id.name
    switch space.form {
    case .whole: return
    case .heads(let form):
      try Self.check(name: form.attention)
      try Self.check(name: form.rotation)
      try Self.check("heads of \(name)", form.heads, 1...Self.maxHeads)
      try Self.check("groups of \(name)", form.groups, 1...form.heads)
      try Self.check("head width of \(name)", form.headWidth, 1...Self.maxHeadWidth)
      guard form.heads.isMultiple(of: form.groups) else {
        throw .spaceForm(name, problem: "\(form.heads) heads are not a multiple of \(form.groups) groups")
      }
      guard form.heads * form.headWidth == space.width else {
        throw .spaceForm(name, problem: "\(form.heads) heads of width \(form.headWidth) are not \(space.width)")
      }
      guard !form.isRotary || form.headWidth.isMultiple(of: 2) else {
        throw .spaceForm(name, problem: "a head of odd width has no planes")
      }
    case .sameOrder(let leader):
      guard let number = numbers[SpaceID(leader)] else { throw .unknownSpace(leader.printable(limit: 80)) }
      guard spaces[number].form == .whole, spaces[number].homogeneous == nil, spaces[number].width == space.width
      else { throw .spaceForm(name, problem: "\(leader) has no order for it to follow") }
    }
  }

  private mutating func use(_ id: SpaceID) throws(GraphError) -> Space {
    guard let number = numbers[id] else { throw .unknownSpace(id.name.printable(limit: 80)) }
    isUsed[number] = true
    return spaces[number]
  }

  private func form(of value: ModelValue) -> HeadsForm? {
    guard let number = numbers[value.space] else { return nil }
    return Self.form(of: spaces[number])
  }

  private static func form(of space: Space) -> HeadsForm? {
    if case .heads(let form) = space.form { return form }
    return nil
  }

  // MARK: - Layers

  private mutating func append(_ space: Space, _ domain: RowDomain) {
    if let number = numbers[space.id] { isUsed[number] = true }
    values.append(ModelValue(space: space.id, width: space.width, domain: domain))
  }

  /// Checks the next layer against those before it.
  mutating func add(_ layer: GraphLayer) throws(GraphError) {
    try Self.check(name: layer.name)
    var seen: [Int] = []
    for input in layer.operation.inputs {
      guard values.indices.contains(input) else { throw .layer(layer.name, problem: .valueNotWritten(input)) }
      guard !seen.contains(input) else { throw .layer(layer.name, problem: .readsTwice(input)) }
      seen.append(input)
      isRead[input] = true
    }
    switch layer.operation {
    case .linear(let linear): try add(linear, layer.name)
    case .layerNorm(let norm):
      try Self.check(positive: "epsilon of \(layer.name)", norm.epsilon)
      let width = values[norm.from].width
      try count(["\(layer.name).weight", "\(layer.name).bias"], elements: 2 * width)
      try addInPlace(layer.name, norm.from)
    case .rootMeanSquareNorm(let norm):
      try Self.check(positive: "epsilon of \(layer.name)", norm.epsilon)
      try addInPlace(layer.name, norm.from)
    case .rotary(let rotary): try add(rotary, layer.name)
    case .attention(let attention): try add(attention, layer.name)
    case .gate(let gate): try add(gate, layer.name)
    case .mean(let pooling), .selection(let pooling):
      guard values[pooling.from].domain == .tokens else { throw .layer(layer.name, problem: .needsTokens) }
      try addInPlace(layer.name, pooling.from, domain: .samples)
    }
    layerNames.append(layer.name)
    isRead.append(false)
  }

  /// The output is in the input's space.
  private mutating func addInPlace(_ name: String, _ input: Int, domain: RowDomain? = nil) throws(GraphError) {
    let space = try use(values[input].space)
    guard space.homogeneous == nil else { throw .layer(name, problem: .homogeneousInput) }
    append(space, domain ?? values[input].domain)
  }

  private mutating func add(_ linear: LinearOperation, _ name: String) throws(GraphError) {
    let (source, input, target) = (values[linear.from], try use(values[linear.from].space), try use(linear.to))
    guard target.homogeneous == nil else { throw .layer(name, problem: .homogeneousOutput) }
    if let residual = linear.residual {
      guard linear.activation == nil else { throw .layer(name, problem: .residualBehindActivation) }
      guard values[residual].space == target.id, values[residual].domain == source.domain else {
        throw .layer(name, problem: .residualOfAnotherShape)
      }
    }
    if input.homogeneous != nil {
      guard linear.parameters.hasBias, !linear.parameters.biasIsWithoutEffect, linear.lowRank == nil else {
        throw .layer(name, problem: .homogeneousParameters)
      }
    }
    for case .normal(let deviation) in [linear.parameters.weightOrigin, linear.parameters.biasOrigin] {
      try Self.check(positive: "deviation of \(name)", deviation)
    }
    // In plaintext a bias has this name also where it is a column of the weight.
    let bias = linear.parameters.hasBias ? ["\(name).bias"] : []
    let columns = input.width + (linear.parameters.hasBias && input.homogeneous == nil ? 1 : 0)
    try count(["\(name).weight"] + bias, elements: target.width * columns)
    if let lowRank = linear.lowRank {
      guard lowRank.scale.isFinite else { throw .badNumber("scale of \(name)") }
      let rank = try use(lowRank.rank)
      guard rank.homogeneous == nil else { throw .layer(name, problem: .homogeneousOutput) }
      try count(
        ["\(name).lora_A.weight", "\(name).lora_B.weight"], elements: rank.width * (input.width + target.width))
    }
    append(target, source.domain)
  }

  private mutating func add(_ rotary: RotaryOperation, _ name: String) throws(GraphError) {
    guard sequences else { throw .layer(name, problem: .needsTokens) }
    guard let form = form(of: values[rotary.from]), form.isRotary else {
      throw .layer(name, problem: .needsRotaryHeads)
    }
    guard form.headWidth == 2 * planes else {
      throw .rotaryFrequencies("are \(planes), and the heads of \(name) are \(form.headWidth) wide")
    }
    hasRotaryLayer = true
    try addInPlace(name, rotary.from)
  }

  private mutating func add(_ attention: AttentionOperation, _ name: String) throws(GraphError) {
    let (query, key, value) = (values[attention.query], values[attention.key], values[attention.value])
    guard sequences, key.domain == .tokens, value.domain == .tokens else {
      throw .layer(name, problem: .needsTokens)
    }
    let target = try use(attention.to)
    guard let queries = form(of: query), let keys = form(of: key), let contents = form(of: value),
      let context = Self.form(of: target)
    else { throw .layer(name, problem: .headsDiffer) }
    let forms = [queries, keys, contents, context]
    guard forms.allSatisfy({ $0.attention == queries.attention && $0.groups == queries.groups }),
      keys.heads == queries.groups, contents.heads == queries.groups, context.heads == queries.heads,
      (keys.rotation, keys.headWidth, keys.isRotary) == (queries.rotation, queries.headWidth, queries.isRotary),
      (contents.rotation, contents.headWidth, contents.isRotary)
        == (context.rotation, context.headWidth, context.isRotary),
      contents.headWidth == queries.headWidth
    else { throw .layer(name, problem: .headsDiffer) }
    append(target, query.domain)
  }

  private mutating func add(_ gate: GateOperation, _ name: String) throws(GraphError) {
    let (first, up) = (values[gate.gate], values[gate.up])
    let space = try use(up.space)
    guard first.domain == up.domain, first.width == up.width, space.form == .sameOrder(as: first.space.name) else {
      throw .layer(name, problem: .gateDiffers)
    }
    append(space, up.domain)
  }

  private mutating func count(_ names: [String], elements: Int) throws(GraphError) {
    for name in names where !parameterNames.insert(name).inserted { throw .repeated(name) }
    // At most 2^24 · (2^24 + 4098) are added to at most 2^40.
    parameters += elements
    guard parameters <= Self.maxParameters else { throw .tooManyParameters(limit: Self.maxParameters) }
  }

  // MARK: - The whole

  func finish(recomputedBlocks: [Range<Int>]) throws(GraphError) {
    for (number, wasRead) in isRead.dropLast().enumerated() where !wasRead {
      throw .unusedValue(of: number == 0 ? "the input" : "the output of \(layerNames[number - 1])")
    }
    for (space, wasUsed) in zip(spaces, isUsed) where !wasUsed { throw .unusedSpace(space.id.name) }
    guard planes == 0 || hasRotaryLayer else { throw .rotaryFrequencies("are there, and no layer is rotary") }
    var next = 0
    for block in recomputedBlocks {
      guard !block.isEmpty, block.lowerBound >= next, block.upperBound < values.count else { throw .blocks }
      next = block.upperBound
    }
  }

  // MARK: - Numbers and names

  private static func check(_ what: String, _ value: Int, _ range: ClosedRange<Int>) throws(GraphError) {
    guard range.contains(value) else { throw .outOfRange(what, value: value, allowed: range) }
  }

  private static func check(positive what: String, _ value: Double) throws(GraphError) {
    guard value.isFinite, value > 0 else { throw .badNumber(what) }
  }

  /// Names go into logs, errors and file headers as they are.
  private static func check(name: String) throws(GraphError) {
    let isShort = name.unicodeScalars.prefix(maxNameLength + 1).count <= maxNameLength
    guard !name.isEmpty, isShort, name.printable(limit: maxNameLength) == name else {
      throw .badName(name.printable(limit: 80))
    }
  }
}
