import Models
import Numerics

/// A weight W, out × in, packed as the right operand of products.
struct PackedWeight: Sendable {
  /// Wᵀ, as the forward pass multiplies by it; nil where products read the weight itself.
  let transposed: PackedMatrix?
  /// W, as the backward pass does.
  let plain: PackedMatrix?
}

/// The weights of a model in the form that products take, made anew where a weight has changed when a pass next reads them.
///
/// One thread at a time owns it, with the weights.
final class PackedWeights {
  /// Of each parameter.
  let weights: [PackedWeight]
  private var isStale: [Bool]
  private var isAnyStale = true

  /// - Parameter trains: false for forward passes alone.
  init<Element: FloatingElement>(
    _ model: Model, flow: GradientFlow, trains: Bool, _ compute: Compute, _: Element.Type
  ) {
    weights = zip(model.structure.parameters, model.packedUses(flow, trains: trains)).map { parameter, uses in
      let (rows, columns) = parameter.bufferShape
      // Double precision is not packed.
      let uses = Element.self == Float.self ? uses : []
      return PackedWeight(
        transposed: uses.contains(.transposed) ? compute.packedMatrix(depth: columns, columns: rows) : nil,
        plain: uses.contains(.plain) ? compute.packedMatrix(depth: rows, columns: columns) : nil)
    }
    isStale = weights.map { $0.transposed != nil || $0.plain != nil }
  }

  /// A parameter has changed.
  func invalidate(_ number: Int) {
    isStale[number] = true
    isAnyStale = true
  }

  func invalidateAll() {
    for number in isStale.indices { invalidate(number) }
  }

  /// Packs what has changed.
  func refresh<Element: FloatingElement>(_ parameters: [MatrixView<Element>], _ compute: Compute) {
    guard isAnyStale else { return }
    for (number, packed) in weights.enumerated() where isStale[number] {
      isStale[number] = false
      guard let parameter = parameters[number] as? MatrixView<Float> else { continue }
      if let transposed = packed.transposed { compute.pack(parameter, transposed: true, into: transposed) }
      if let plain = packed.plain { compute.pack(parameter, transposed: false, into: plain) }
    }
    isAnyStale = false
  }

  /// Bytes of all of them; nil when the count overflows.
  static func byteCount<Element: FloatingElement>(
    _ model: Model, flow: GradientFlow, trains: Bool, _ compute: Compute, _: Element.Type
  ) -> Int? {
    guard Element.self == Float.self else { return 0 }
    var counts: [Int?] = []
    for (parameter, uses) in zip(model.structure.parameters, model.packedUses(flow, trains: trains)) {
      let (rows, columns) = parameter.bufferShape
      for use in uses {
        switch use {
        case .transposed: counts.append(compute.packedBytes(depth: columns, columns: rows))
        case .plain: counts.append(compute.packedBytes(depth: rows, columns: columns))
        }
      }
    }
    return Shape.sum(counts)
  }
}

/// How a pass multiplies by a weight.
private enum PackedUse {
  case transposed
  case plain
}

extension Model {
  /// Of each parameter: weights, which are matrices, are read as they are by backward passes whose gradient goes on to the layer's input, or to
  /// another of its weights.
  fileprivate func packedUses(_ flow: GradientFlow, trains: Bool) -> [[PackedUse]] {
    var result: [[PackedUse]] = []
    for (index, layer) in layers.enumerated() {
      var uses: [PackedUse] = [.transposed]
      let reachesInput = layer.inputs.first.map { flow.reachesValue[$0] } ?? false
      if trains, flow.reachesLayer[index], reachesInput || layer is LowRankLinearLayer { uses.append(.plain) }
      for parameter in layer.parameters { result.append(parameter.shape.count == 2 ? uses : []) }
    }
    return result
  }
}
