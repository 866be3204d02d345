/// All that an audit works on: the trainer's view of a job, the same view with nothing masked, and the truth to score against.
package struct Evidence: Sendable {
  package let masked: ProviderView
  /// The same rows and steps with identity keys and without noise: where an attack that works must succeed.
  ///
  /// It says of its spaces what `masked` says: an attack that knew there is no key would be another attack.
  package let control: ProviderView
  package let truth: OwnerTruth
  /// The truth of `control`: its input key is the identity.
  package let controlTruth: OwnerTruth
  package let knowledge: PublicKnowledge
  package let traits: JobTraits
  /// Nil where training a model takes too long to do it many times.
  package let shadows: (any ShadowTraining)?
  /// Nil without noise, or where it takes too long to find out.
  package let noiseCost: NoiseCost?

  package init(
    masked: ProviderView, control: ProviderView, truth: OwnerTruth, controlTruth: OwnerTruth,
    knowledge: PublicKnowledge,
    traits: JobTraits, shadows: (any ShadowTraining)?, noiseCost: NoiseCost? = nil
  ) {
    self.masked = masked
    self.control = control.assuming(masked.groups)
    self.truth = truth
    self.controlTruth = controlTruth
    self.knowledge = knowledge
    self.traits = traits
    self.shadows = shadows
    self.noiseCost = noiseCost
  }
}
