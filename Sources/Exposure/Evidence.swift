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
  /// Nil where no models like the job's can be trained; `shadowsMissing` says why.
  package let shadows: (any ShadowTraining)?
  package let shadowsMissing: String?
  /// Nil without noise, or where it was not measured.
  package let noiseCost: NoiseCost?
  /// Why the cost of the job's noise was not measured; nil where it was, and without noise.
  package let noiseCostMissing: String?
  /// Whether the run was ended for want of time before all its rows were seen.
  package let isCutShort: Bool

  package init(
    masked: ProviderView, control: ProviderView, truth: OwnerTruth, controlTruth: OwnerTruth,
    knowledge: PublicKnowledge,
    traits: JobTraits, shadows: (any ShadowTraining)?, shadowsMissing: String? = nil,
    noiseCost: NoiseCost? = nil,
    noiseCostMissing: String? = nil, isCutShort: Bool = false
  ) {
    self.masked = masked
    self.control = control.assuming(masked.groups)
    self.truth = truth
    self.controlTruth = controlTruth
    self.knowledge = knowledge
    self.traits = traits
    self.shadows = shadows
    self.shadowsMissing = shadowsMissing
    self.noiseCost = noiseCost
    self.noiseCostMissing = noiseCostMissing
    self.isCutShort = isCutShort
  }
}
