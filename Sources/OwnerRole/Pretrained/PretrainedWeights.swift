import Families
package import Files
package import Models
package import Numerics

/// A checkpoint's weights as a job starts from them: norm gains folded into the layers that read them where the family is pre-norm,
/// and whatever the checkpoint does not have drawn fresh.
package struct PretrainedWeights: PlaintextWeights {
  let model: PretrainedModel
  /// Nil where every tensor asked for is the checkpoint's.
  let fresh: FreshWeights?

  package init(model: PretrainedModel, fresh: FreshWeights?) {
    self.model = model
    self.fresh = fresh
  }

  package func tensor<Element: FloatingElement>(_ specification: ParameterSpecification) throws(FileError)
    -> Tensor<Element>
  {
    // Classifier and adapters are drawn for the folded weights: a Gaussian that no gain has stretched says nothing of the key.
    if specification.origin != .pretrained, let fresh { return fresh.tensor(specification) }
    return try model.tensor(specification.name)
  }
}

/// A whole transformer as a checkpoint in Hugging Face names, one tensor in memory at a time: the owner's embeddings, the norms that
/// were folded (gains of 1) and the weights that the trainer has.
struct PlaintextTensors<Element: FloatingElement> {
  let model: PretrainedModel
  let specifications: [ParameterSpecification]
  let weights: any PlaintextWeights

  private typealias Read = @Sendable () throws(FileError) -> Tensor<Element>

  /// To be written in this order; each reads its tensor when its turn comes. Where several are parts of one stored tensor, it stands in the
  /// place of the first.
  var tensors: [SafetensorsTensor] {
    let family = model.family
    let parts = Dictionary(family.tensors.filter { $0.place != nil }.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    var stored: [StoredTensor<Element>] = []
    var indexes: [String: Int] = [:]
    for (part, read) in all(family) {
      let part = parts[part.name] ?? part
      if let index = indexes[part.storedName] {
        stored[index].parts.append((part, read))
      } else {
        indexes[part.storedName] = stored.count
        stored.append(StoredTensor(parts: [(part, read)]))
      }
    }
    return stored.map(lazy)
  }

  private func all(_ family: any ModelFamily) -> [(FamilyTensor, Read)] {
    let kept = family.keptTensors.map { tensor -> (FamilyTensor, Read) in
      (tensor, { [model] () throws(FileError) in try model.directory.tensor(named: tensor.name) })
    }
    let folded = family.foldedNorms.map { tensor -> (FamilyTensor, Read) in
      (tensor, { () throws(FileError) in Tensor(repeating: 1, shape: tensor.shape) })
    }
    let trained = specifications.map { specification -> (FamilyTensor, Read) in
      let tensor = FamilyTensor(specification.name, specification.shape)
      return (tensor, { [weights] () throws(FileError) in try weights.tensor(specification) })
    }
    return kept + folded + trained
  }

  private func lazy(_ stored: StoredTensor<Element>) -> SafetensorsTensor {
    SafetensorsTensor(name: stored.name, type: SafetensorsType(Element.elementType), shape: stored.shape) {
      (writer) throws(FileError) in
      let values = try stored.joined()
      try values.withUnsafeBufferPointer { (buffer) throws(FileError) in
        try writer.write(UnsafeRawBufferPointer(buffer))
      }
    }
  }
}

extension Tensor where Element: FloatingElement {
  /// Multiplies column j of a matrix by `factors[j]`, or divides by it; `factors` has as many entries as there are columns.
  mutating func scaleColumns(by factors: Tensor<Element>, dividing: Bool = false) {
    let columns = columns
    withUnsafeMutableBufferPointer { entries in
      factors.withUnsafeBufferPointer { factors in
        guard factors.count == columns else { return }
        for row in 0..<entries.count / max(1, columns) {
          for column in 0..<columns {
            if dividing {
              entries[row * columns + column] /= factors[column]
            } else {
              entries[row * columns + column] *= factors[column]
            }
          }
        }
      }
    }
  }
}
