package import Architecture
import Tensors

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
