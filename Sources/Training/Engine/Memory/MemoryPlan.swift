import Models
import Numerics

/// What an engine must remember between a part's forward pass and its backward pass, and what memory passes can share.
///
/// Everything that lives only during one pass shares the slots of one working memory by liveness: gradients of values,
/// the activations of inference, those of layers that no gradient reaches, and, where activations are computed again,
/// everything inside a block.
struct MemoryPlan {
  /// Matrices that each part in flight has of its own.
  let partShapes: [MatrixShape]
  /// Matrices of the working memory.
  let workingShapes: [MatrixShape]
  let forward: PassPlan
  let backward: PassPlan
  let inference: PassPlan

  /// - Parameters:
  ///   - trains: false for inference alone.
  ///   - keepsOutputGradient: whether the output's gradient comes before the backward pass, in parts.
  ///   - isNarrow: whether activations are kept in 16 bits, but for those that are not (`Model.formats`).
  init(_ model: Model, flow: GradientFlow, trains: Bool, keepsOutputGradient: Bool, isNarrow: Bool) {
    var slots = SlotAllocator()
    let allForward = model.layers.indices.map { LayerPass.forward(layer: $0) }
    guard trains else {
      partShapes = []
      (forward, backward) = (PassPlan(passes: [], places: [:]), PassPlan(passes: [], places: [:]))
      inference = Self.inference(model, allForward, isNarrow, &slots)
      workingShapes = slots.shapes
      return
    }
    let schedule = BackwardSchedule(model, flow: flow, blocks: model.recomputedBlocks)
    var parts: [ModelMatrix: PassPlan.Place] = [:]
    var shapes: [MatrixShape] = []
    for matrix in schedule.remembered(keepsOutputGradient: keepsOutputGradient) {
      parts[matrix] = .part(shapes.count)
      shapes.append(model.shape(of: matrix, isNarrow: isNarrow))
    }
    partShapes = shapes
    forward = Self.plan(model, flow, allForward, remembered: parts, isNarrow, &slots)
    backward = Self.plan(model, flow, schedule.passes, remembered: parts, isNarrow, &slots)
    inference = Self.inference(model, allForward, isNarrow, &slots)
    workingShapes = slots.shapes
  }

  private static func inference(
    _ model: Model, _ passes: [LayerPass], _ isNarrow: Bool, _ slots: inout SlotAllocator
  ) -> PassPlan {
    let lifetimes = lifetimes(model, passes, isNarrow) { layer in
      (model.layers[layer].inputs.filter { $0 != 0 } + [model.layers[layer].output]).map(ModelMatrix.value)
    } backward: { _ in
      []
    }
    return PassPlan(passes: passes, places: slots.assign(lifetimes).mapValues { .working($0) })
  }

  private static func plan(
    _ model: Model, _ flow: GradientFlow, _ passes: [LayerPass], remembered: [ModelMatrix: PassPlan.Place],
    _ isNarrow: Bool, _ slots: inout SlotAllocator
  ) -> PassPlan {
    let lifetimes = lifetimes(model, passes, isNarrow) { layer in
      model.matricesOfForward(layer, keeps: flow.reachesLayer[layer])
    } backward: { layer in
      model.matricesOfBackward(layer, flow)
    }
    let working = slots.assign(lifetimes.filter { remembered[$0.matrix] == nil })
    var places: [ModelMatrix: PassPlan.Place] = working.mapValues { .working($0) }
    for lifetime in lifetimes { places[lifetime.matrix] = places[lifetime.matrix] ?? remembered[lifetime.matrix] }
    return PassPlan(passes: passes, places: places)
  }

  /// From a matrix's first turn to its last. What comes from outside, the model's input and the output's gradient, is there from
  /// the start.
  private static func lifetimes(
    _ model: Model, _ passes: [LayerPass], _ isNarrow: Bool, forward: (Int) -> [ModelMatrix],
    backward: (Int) -> [ModelMatrix]
  ) -> [SlotAllocator.Lifetime] {
    var result: [SlotAllocator.Lifetime] = []
    var positions: [ModelMatrix: Int] = [:]
    for (turn, pass) in passes.enumerated() {
      let touched =
        switch pass {
        case .forward(let layer): forward(layer)
        case .backward(let layer): backward(layer)
        }
      for matrix in touched {
        if let position = positions[matrix] {
          result[position].turns = result[position].turns.lowerBound...turn
        } else {
          positions[matrix] = result.count
          let isGiven = matrix == .value(0) || matrix == .gradient(model.outputValue)
          result.append(
            SlotAllocator.Lifetime(
              matrix: matrix, shape: model.shape(of: matrix, isNarrow: isNarrow), turns: (isGiven ? 0 : turn)...turn))
        }
      }
    }
    return result
  }
}

extension Model {
  /// What the forward pass of a layer reads and writes.
  func matricesOfForward(_ layer: Int, keeps: Bool) -> [ModelMatrix] {
    layers[layer].inputs.map(ModelMatrix.value) + [.value(layers[layer].output)]
      + (keeps ? matricesKept(by: layer) : [])
  }

  /// What a layer keeps for its backward pass.
  func matricesKept(by layer: Int) -> [ModelMatrix] {
    (layers[layer].keptColumns > 0 ? [.kept(layer)] : [])
      + (layers[layer].statisticsColumns > 0 ? [.statistics(layer)] : [])
  }

  /// What the backward pass of a layer reads and writes.
  func matricesOfBackward(_ layer: Int, _ flow: GradientFlow) -> [ModelMatrix] {
    layers[layer].valuesReadBackward.map(ModelMatrix.value)
      + matricesKept(by: layer) + [.gradient(layers[layer].output)]
      + layers[layer].inputs.filter { flow.reachesValue[$0] }.map(ModelMatrix.gradient)
  }
}

/// A matrix whose rows are as many as a pass has samples or tokens.
struct MatrixShape: Hashable {
  let columns: Int
  let domain: RowDomain
  /// Whether it is of numbers that stay in the format of arithmetic, whatever activations are kept in.
  var isFull = false
}

/// A matrix that a pass over a model reads or writes.
enum ModelMatrix: Hashable {
  /// By its place in `Model.values`.
  case value(Int)
  /// ∂L/∂value.
  case gradient(Int)
  /// What a layer keeps for its backward pass, by the layer's place in `Model.layers`.
  case kept(Int)
  /// What it keeps for that in the format of arithmetic.
  case statistics(Int)
}

extension Model {
  /// - Parameter isNarrow: whether activations are kept in 16 bits.
  func shape(of matrix: ModelMatrix, isNarrow: Bool) -> MatrixShape {
    switch matrix {
    case .value(let number), .gradient(let number):
      MatrixShape(
        columns: values[number].width, domain: values[number].domain, isFull: isNarrow && formats.isFull[number])
    case .kept(let layer):
      MatrixShape(columns: layers[layer].keptColumns, domain: values[layers[layer].output].domain)
    case .statistics(let layer):
      MatrixShape(
        columns: layers[layer].statisticsColumns, domain: values[layers[layer].output].domain, isFull: true)
    }
  }
}

/// How many rows matrices have, or may have, by what their rows are.
struct RowCounts: Equatable {
  var samples = 0
  var tokens = 0

  init(samples: Int, tokens: Int) {
    self.samples = samples
    self.tokens = tokens
  }

  init(_ span: RowSpan) {
    self.init(samples: span.samples.upperBound, tokens: span.tokens.upperBound)
  }

  subscript(domain: RowDomain) -> Int {
    switch domain {
    case .samples: samples
    case .tokens: tokens
    }
  }

  func covering(_ other: RowCounts) -> RowCounts {
    RowCounts(samples: max(samples, other.samples), tokens: max(tokens, other.tokens))
  }

  /// Bytes of matrices with these rows, activations in `Element`; nil when the count overflows.
  func byteCount<Element: ActivationElement>(_ shapes: [MatrixShape], _: Element.Type) -> Int? {
    Shape.sum(
      shapes.map {
        Shape.byteCount(
          [self[$0.domain], $0.columns], $0.isFull ? Element.Accumulator.elementType : Element.elementType)
      })
  }
}

/// Gives matrices that are not needed at the same time the same memory, slot by slot.
///
/// A slot holds matrices of one shape. Plans that never run at the same time share one allocator, and so their slots.
struct SlotAllocator {
  struct Lifetime {
    let matrix: ModelMatrix
    let shape: MatrixShape
    /// Positions in a pass, from the first that touches the matrix to the last.
    var turns: ClosedRange<Int>
  }

  private(set) var shapes: [MatrixShape] = []

  /// A slot for each matrix, such that no two of one slot live at one turn.
  ///
  /// Of the free slots the one that was in use last is taken: its memory is still in a cache.
  mutating func assign(_ lifetimes: [Lifetime]) -> [ModelMatrix: Int] {
    var result: [ModelMatrix: Int] = [:]
    var lastTurn = [Int](repeating: -1, count: shapes.count)
    // Only slots of a lifetime's own shape are looked at: a model may have thousands of shapes.
    var slotsOfShape = Dictionary(grouping: shapes.indices) { shapes[$0] }
    for lifetime in lifetimes.sorted(by: { $0.turns.lowerBound < $1.turns.lowerBound }) {
      let free = slotsOfShape[lifetime.shape, default: []].filter { lastTurn[$0] < lifetime.turns.lowerBound }
      let slot: Int
      if let hottest = free.max(by: { lastTurn[$0] < lastTurn[$1] }) {
        slot = hottest
      } else {
        slot = shapes.count
        shapes.append(lifetime.shape)
        lastTurn.append(-1)
        slotsOfShape[lifetime.shape, default: []].append(slot)
      }
      lastTurn[slot] = lifetime.turns.upperBound
      result[lifetime.matrix] = slot
    }
    return result
  }
}
