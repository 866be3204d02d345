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
  /// Ranges of layers, first to last and without overlap, that are computed again together where activations are not kept.
  package let blocks: [Range<Int>]
  /// What its rotary layers share, each once.
  private let rotaryTables: [RotaryTable]

  /// Elements of an input row: d + 1 + k.
  package var inputWidth: Int { values.first?.width ?? 0 }
  package var outputWidth: Int { outputValue < values.count ? values[outputValue].width : 0 }

  var outputValue: Int { layers.last?.output ?? 0 }

  /// - Throws: `TrainingError.invalidModel` for a width below 1 or sizes whose product overflows.
  package init(_ description: ModelDescription) throws(TrainingError) {
    switch description {
    case .mlp(let mlp): try self.init(mlp)
    case .transformer(let transformer):
      switch transformer.family {
      case .bert: try self.init(bert: transformer)
      case .llama: try self.init(llama: transformer)
      }
    }
  }

  init(
    structure: ModelStructure, values: [ModelValue], layers: [any Layer], blocks: [Range<Int>] = [],
    rotaryTables: [RotaryTable] = []
  ) {
    self.structure = structure
    self.values = values
    self.layers = layers
    self.blocks = blocks
    self.rotaryTables = rotaryTables
  }

  /// Bytes of tables that running the model makes, beside weights and activations; nil on overflow.
  var tableBytes: Int? { Shape.sum(rotaryTables.map(\.byteCount)) }
  /// How many of them have been made; none before a pass has run.
  package var madeTables: Int { rotaryTables.count(where: \.isMade) }

  /// Where each layer's parameters lie in `structure.parameters`.
  var parameterRanges: [Range<Int>] {
    var next = 0
    return layers.map { layer in
      defer { next += layer.parameters.count }
      return next..<next + layer.parameters.count
    }
  }
}

/// A matrix of activations that flows between layers: rows × `width`, in a space; a row is a sample or a token.
///
/// Several values may live in one space: the residual stream is one space read and written many times.
package struct ModelValue: Sendable, Equatable {
  package let space: SpaceID
  package let width: Int
  package let domain: RowDomain

  package init(space: SpaceID, width: Int, domain: RowDomain = .samples) {
    self.space = space
    self.width = width
    self.domain = domain
  }
}

/// What the rows of a value are.
package enum RowDomain: Sendable, Equatable {
  /// One row a token. Where a sample is one row (an MLP) this is the same as `samples`, and only `samples` is used.
  case tokens
  /// One row a sample.
  case samples
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
