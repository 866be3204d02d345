import Models
package import Files
package import Foundation
import JobSpec
package import Numerics

/// `model/`: the unmasked weights under the names and in the layout that PyTorch and Hugging Face load, the standardisation if any, and
/// how to load them.
package struct ModelDirectory {
  let root: URL

  package init(_ root: URL) {
    self.root = root
  }

  var weightsFile: URL { root.appending(path: "model.safetensors") }
  private var namesFile: URL { root.appending(path: "names.json") }
  private var standardization: URL { root.appending(path: "standardization.safetensors") }

  /// Writes everything; the weights last, so that a directory with weights is complete.
  ///
  /// - Parameters:
  ///   - trained: the trained parameters, unmasked, by name.
  ///   - names: of the data; those of its rows stay out of the model. Nil for runs of versions that kept none.
  ///   - origin: who trained it, for its README.
  package func write<Element: FloatingElement>(
    _ trained: NamedTensors<Element>, shape: JobShape, standardization fitted: Standardization?, names: DataNames?,
    origin: ModelOrigin = .job
  ) throws {
    try Directory.create(root.path)
    // An earlier version made it readable by everybody.
    chmod(root.path, 0o700)
    try names?.withoutRows.write(to: namesFile)
    if let fitted { try Self.writeStandardization(fitted, to: standardization) }
    try AtomicFile.write(
      Data(ModelReadme.text(shape, standardized: fitted != nil, named: names?.columns != nil, origin: origin).utf8),
      to: root.appending(path: "README.md").path)
    if let pretrained = shape.pretrained {
      try TransformerExport(shape: shape, model: pretrained, trained: trained).write(to: root.path)
    } else {
      try Self.writeTrained(trained, specifications: shape.structure.parameters, to: weightsFile)
    }
  }

  /// Reads the weights back as the engine holds them.
  package func weights(_ shape: JobShape) throws -> any PlaintextWeights {
    if shape.pretrained != nil { return try TransformerExport<Float>.weights(in: root.path, shape: shape) }
    // Widened, so that nothing is lost of weights that were trained in double.
    let plaintext: NamedTensors<Double> = try SafetensorsFile(path: weightsFile.path).tensors()
    let trained = try PlaintextLayout.trainedTensors(from: plaintext, specifications: shape.structure.parameters)
    return FinishedWeights(trained: trained, frozen: nil)
  }

  /// Nil where the run kept none.
  package func readNames() throws -> DataNames? {
    try DataNames.read(namesFile)
  }

  package func readStandardization() throws -> Standardization? {
    try Self.readStandardization(standardization)
  }

  /// A model's whole plaintext, as an outside program would have it.
  static func writeWeights(_ weights: any PlaintextWeights, shape: JobShape, to file: URL) throws {
    let specifications = shape.structure.parameters
    if let pretrained = shape.pretrained {
      let tensors = PlaintextTensors<Float>(
        model: pretrained, specifications: specifications, weights: weights
      ).tensors
      return try SafetensorsFile.write(tensors, metadata: ["format": "pt"], to: file.path)
    }
    var trained = NamedTensors<Float>()
    for specification in specifications { trained[specification.name] = try weights.tensor(specification) }
    try writeTrained(trained, specifications: specifications, to: file)
  }

  private static func writeTrained<Element: FloatingElement>(
    _ trained: NamedTensors<Element>, specifications: [ParameterSpecification], to file: URL
  ) throws {
    let plaintext = try PlaintextLayout.plaintextTensors(from: trained, specifications: specifications)
    try SafetensorsFile.write(plaintext.map { SafetensorsTensor($0.name, $0.tensor) }, to: file.path)
  }

  package static func writeStandardization(_ fitted: Standardization, to file: URL) throws {
    try SafetensorsFile.write(
      [
        SafetensorsTensor("mean", Tensor(fitted.mean, shape: [fitted.mean.count])),
        SafetensorsTensor("scale", Tensor(fitted.scale, shape: [fitted.scale.count])),
      ], to: file.path)
  }

  package static func readStandardization(_ file: URL) throws -> Standardization? {
    guard FileManager.default.fileExists(atPath: file.path) else { return nil }
    let stored = try SafetensorsFile(path: file.path)
    let mean: Tensor<Double> = try stored.tensor("mean")
    let scale: Tensor<Double> = try stored.tensor("scale")
    return Standardization(mean: mean.elements, scale: scale.elements)
  }
}

/// Who trained a model, as its README says it.
package enum ModelOrigin: Sendable {
  case job
  /// Sites that each trained on their own rows.
  case federation(sites: Int)

  var text: String {
    switch self {
    case .job: "on masked data and unmasked by its owner"
    case .federation(let sites): "by \(sites) sites, each on its own rows, and averaged"
    }
  }
}

/// The text of `model/README.md`.
enum ModelReadme {
  static func text(_ shape: JobShape, standardized: Bool, named: Bool, origin: ModelOrigin = .job) -> String {
    if let pretrained = shape.pretrained {
      return TransformerReadme(shape: shape, model: pretrained, origin: origin).text
    }
    guard case .mlp(let hidden, let function) = shape.job.model else { return "" }
    let adapter = shape.job.masking.adapterWidth
    let features = shape.data.features
    let widths = [features] + (adapter.map { [$0] } ?? []) + hidden + [shape.data.outputs]
    let activation =
      switch function {
      case .relu: "torch.nn.ReLU()"
      case .gelu: "torch.nn.GELU()"
      case .geluTanh: "torch.nn.GELU(approximate=\"tanh\")"
      case .silu: "torch.nn.SiLU()"
      case .tanh: "torch.nn.Tanh()"
      }
    let standardize =
      standardized
      ? """

      statistics = load_file("standardization.safetensors")
      x = ((x - statistics["mean"]) / statistics["scale"]).float()
      """ : ""
    return """
      # \(shape.job.name)

      A multi-layer perceptron for \(shape.job.task.rawValue), widths \(widths.map(String.init).joined(separator: " → ")), \
      trained \(origin.text). These weights are plaintext.\(about(adapter: adapter))\(noise(shape.job))

      ```python
      import torch
      from safetensors.torch import load_file

      widths = \(widths)
      weights = load_file("model.safetensors")
      names = \(adapter == nil ? "" : "[\"adapter\"] + ")[f"layers.{i}" for i in range(\(hidden.count + 1))]
      linears = [torch.nn.Linear(a, b) for a, b in zip(widths, widths[1:])]
      for name, linear in zip(names, linears):
          linear.weight.data = weights[f"{name}.weight"]
          linear.bias.data = weights[f"{name}.bias"]

      x = ...  # rows × \(features), float32\(named ? ", columns in the order of names.json" : "")\(standardize)
      for name, linear in zip(names, linears):
          x = linear(x)
          if name not in ("adapter", names[-1]):
              x = \(activation)(x)
      ```
      \(classes(shape.data))
      """
  }

  /// The names of the classes, as a section; empty without.
  static func classes(_ data: DataShape) -> String {
    guard let names = data.classNames else { return "" }
    return "\n## Classes\n\n" + names.enumerated().map { "- \($0.offset): \($0.element)" }.joined(separator: "\n")
      + "\n"
  }

  private static func about(adapter: Int?) -> String {
    guard adapter != nil else { return "" }
    return " The first layer, `adapter`, has no activation behind it; it may be multiplied into `layers.0`."
  }

  /// Says that the model was trained on noised inputs; empty for a job without noise.
  static func noise(_ job: ResolvedJob) -> String {
    guard let sigma = job.masking.noise else { return "" }
    return
      " It was trained, and its validation metrics were taken, on inputs with Gaussian noise of deviation \(sigma)."
  }
}
