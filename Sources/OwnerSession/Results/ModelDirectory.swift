package import Architecture
import Checkpoints
package import Foundation
import JobSpec
package import Tensors

/// `model/`: the unmasked weights as PyTorch names and lays them out, the standardisation if any, and how to load them.
package struct ModelDirectory {
  private let root: URL

  package init(_ root: URL) {
    self.root = root
  }

  private var weights: URL { root.appending(path: "model.safetensors") }
  private var standardization: URL { root.appending(path: "standardization.safetensors") }

  /// Writes everything; the weights last, so that a directory with weights is complete.
  func write<Element: FloatingElement>(
    _ parameters: [Tensor<Element>], shape: JobShape, standardization fitted: Standardization?
  ) throws {
    do {
      try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
    } catch {
      throw OwnerError.run("cannot create \(root.path): \((error as NSError).localizedDescription)")
    }
    if let fitted { try Self.writeStandardization(fitted, to: standardization) }
    try AtomicFile.write(
      Data(ModelReadme.text(shape, standardized: fitted != nil).utf8), to: root.appending(path: "README.md").path)
    try Self.writeWeights(parameters, specifications: shape.structure.parameters, to: weights)
  }

  /// Reads the weights back as the engine holds them.
  package func readWeights<Element: FloatingElement>(
    _ specifications: [ParameterSpecification]
  ) throws -> [Tensor<Element>] {
    let plaintext: NamedTensors<Element> = try SafetensorsFile(path: weights.path).tensors()
    return try PlaintextLayout.trainedTensors(from: plaintext, specifications: specifications).map(\.tensor)
  }

  package func readStandardization() throws -> Standardization? {
    try Self.readStandardization(standardization)
  }

  static func writeWeights<Element: FloatingElement>(
    _ parameters: [Tensor<Element>], specifications: [ParameterSpecification], to file: URL
  ) throws {
    let trained = NamedTensors(zip(specifications.map(\.name), parameters).map { ($0, $1) })
    let plaintext = try PlaintextLayout.plaintextTensors(from: trained, specifications: specifications)
    try SafetensorsFile.write(plaintext.map { SafetensorsTensor($0.name, $0.tensor) }, to: file.path)
  }

  static func writeStandardization(_ fitted: Standardization, to file: URL) throws {
    try SafetensorsFile.write(
      [
        SafetensorsTensor("mean", Tensor(fitted.mean, shape: [fitted.mean.count])),
        SafetensorsTensor("scale", Tensor(fitted.scale, shape: [fitted.scale.count])),
      ], to: file.path)
  }

  static func readStandardization(_ file: URL) throws -> Standardization? {
    guard FileManager.default.fileExists(atPath: file.path) else { return nil }
    let stored = try SafetensorsFile(path: file.path)
    let mean: Tensor<Double> = try stored.tensor("mean")
    let scale: Tensor<Double> = try stored.tensor("scale")
    return Standardization(mean: mean.elements, scale: scale.elements)
  }
}
