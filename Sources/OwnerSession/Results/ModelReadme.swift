import JobSpec
import Architecture

/// The text of `model/README.md`.
enum ModelReadme {
  static func text(_ shape: JobShape, standardized: Bool, named: Bool) -> String {
    if let pretrained = shape.pretrained { return TransformerReadme(shape: shape, model: pretrained).text }
    guard case .mlp(let mlp) = shape.model else { return "" }
    let adapters = mlp.adapter.map { [$0] } ?? []
    let widths = [mlp.input.features] + adapters + mlp.hidden + [mlp.outputs]
    let activation =
      switch mlp.activation {
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
    let classes =
      shape.data.classNames.map { names in
        "\n## Classes\n\n"
          + names.enumerated().map { "- \($0.offset): \($0.element)" }.joined(separator: "\n") + "\n"
      } ?? ""
    return """
      # \(shape.job.name)

      A multi-layer perceptron for \(shape.job.task.rawValue), widths \(widths.map(String.init).joined(separator: " → ")), \
      trained on masked data and unmasked by its owner. These weights are plaintext.\(adapter(mlp))\(noise(shape.job))

      ```python
      import torch
      from safetensors.torch import load_file

      widths = \(widths)
      weights = load_file("model.safetensors")
      names = \(mlp.adapter == nil ? "" : "[\"adapter\"] + ")[f"layers.{i}" for i in range(\(mlp.hidden.count + 1))]
      linears = [torch.nn.Linear(a, b) for a, b in zip(widths, widths[1:])]
      for name, linear in zip(names, linears):
          linear.weight.data = weights[f"{name}.weight"]
          linear.bias.data = weights[f"{name}.bias"]

      x = ...  # rows × \(mlp.input.features), float32\(named ? ", columns in the order of names.json" : "")\(standardize)
      for name, linear in zip(names, linears):
          x = linear(x)
          if name not in ("adapter", names[-1]):
              x = \(activation)(x)
      ```
      \(classes)
      """
  }

  private static func adapter(_ mlp: MLPDescription) -> String {
    guard mlp.adapter != nil else { return "" }
    return " The first layer, `adapter`, has no activation behind it; it may be multiplied into `layers.0`."
  }

  /// What a model's inputs had at training that its readers' inputs do not have.
  static func noise(_ job: ResolvedJob) -> String {
    guard let sigma = job.masking.noise else { return "" }
    return
      " It was trained, and its validation metrics were taken, on inputs with Gaussian noise of deviation \(sigma)."
  }
}
