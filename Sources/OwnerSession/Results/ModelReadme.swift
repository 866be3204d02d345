import JobSpec
import Architecture

/// The text of `model/README.md`.
enum ModelReadme {
  static func text(_ shape: JobShape, standardized: Bool) -> String {
    if let pretrained = shape.pretrained { return TransformerReadme(shape: shape, model: pretrained).text }
    guard case .mlp(let mlp) = shape.model else { return "" }
    let widths = [mlp.input.features] + mlp.hidden + [mlp.outputs]
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
      trained on masked data and unmasked by its owner. These weights are plaintext.

      ```python
      import torch
      from safetensors.torch import load_file

      widths = \(widths)
      weights = load_file("model.safetensors")
      linears = [torch.nn.Linear(a, b) for a, b in zip(widths, widths[1:])]
      for i, linear in enumerate(linears):
          linear.weight.data = weights[f"layers.{i}.weight"]
          linear.bias.data = weights[f"layers.{i}.bias"]

      x = ...  # rows × \(mlp.input.features), float32\(standardize)
      for i, linear in enumerate(linears):
          x = linear(x)
          if i + 1 < len(linears):
              x = \(activation)(x)
      ```
      \(classes)
      """
  }
}
