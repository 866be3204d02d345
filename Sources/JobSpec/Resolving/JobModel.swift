package import Architecture

/// The model a job asks for; its input and output widths come from the data and from the pretrained model.
package enum JobModel: Sendable, Equatable, Codable {
  /// Widths of the hidden layers, empty for a linear model.
  case mlp(hidden: [Int], activation: Activation)
  case huggingFace(HuggingFaceModel)
}
