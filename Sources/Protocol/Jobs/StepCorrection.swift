package import Models

/// What the trainer adds to the gradient of every step beside the loss's, before gradients are clipped all together: what a federation's rules ask
/// of a site that trains here.
///
/// Both terms go through keys as weights do, so that they are the same training masked and not.
package struct StepCorrection: Sendable, Equatable, Codable {
  /// μ, above 0, of the term μ(θ − θ₀): a pull towards the job's starting weights (FedProx). Nil for none.
  package var proximalStrength: Double?
  /// Whether a tensor of each trained parameter's shape is added as it is: masked, and uploaded behind the starting weights (SCAFFOLD).
  package var hasOffsets: Bool

  package init(proximalStrength: Double? = nil, hasOffsets: Bool = false) {
    self.proximalStrength = proximalStrength
    self.hasOffsets = hasOffsets
  }
}

extension JobDescription {
  /// What an owner uploads, tensor by tensor: all parameters, and then where the correction has offsets one of each trained parameter.
  ///
  /// - Parameter parameters: of the model.
  package func uploads(_ parameters: [ParameterSpecification]) -> [ParameterSpecification] {
    parameters + (correction?.hasOffsets == true ? parameters.filter(\.isTrained) : [])
  }

  /// Whether it says what an owner of wire version 4 could not.
  var needsVersion5: Bool { correction != nil || schedule.part != nil }
}
