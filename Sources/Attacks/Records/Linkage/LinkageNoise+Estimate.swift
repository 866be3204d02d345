import Tensors

extension LinkageNoise {
  /// The noise under which some groups of candidates find the most evidence: whoever masks need not have said how much there is.
  ///
  /// Noise lengthens the rows by a known share, so that more of it than the mean of the norms allows is not tried; less is looked for
  /// by factors, first coarse and then finer.
  static func estimate(
    _ scene: LinkageScene, groups: [[Int]], settings: GroupMatching.Settings, workers: Workers, until deadline: Deadline
  ) -> LinkageNoise {
    func noise(_ share: Double) -> LinkageNoise {
      LinkageNoise(share: share, meanSquare: scene.meanSquare, width: scene.width, usesNorms: scene.usesNorms)
    }
    func evidence(_ share: Double) -> (sum: Double, isWhole: Bool) {
      let outcomes = LinkageGroups(scene: scene, noise: noise(share), settings: settings)
        .outcomes(groups, workers: workers, until: deadline)
      return (outcomes.reduce(0) { $0 + ($1?.evidence ?? 0) }, outcomes.allSatisfy { $0?.isWhole == true })
    }
    let (least, most) = scene.shareOfNoise
    var best = (share: 0.0, evidence: least > 0 ? 0 : evidence(0).sum)
    func look(at shares: [Double]) {
      for share in shares where share >= least && share <= most && !deadline.hasPassed {
        let found = evidence(share)
        // What was cut short is no measure of the others.
        if found.isWhole, found.sum > best.evidence { best = (share, found.sum) }
      }
    }
    if least > 0 { best.share = (least + most) / 2 }
    look(at: least > 0 ? [least, (least + most) / 2, most] : [1.6e-4, 2.5e-3, 4e-2])
    if best.share > 0 {
      for factors in [[0.25, 4], [0.5, 0.7, 1.4, 2], [0.84, 0.92, 1.09, 1.19]] {
        let share = best.share
        look(at: factors.map { $0 * share })
      }
    }
    return noise(best.share)
  }
}

extension LinkageScene {
  /// Between which shares of a record's length noise may have, by what the masked rows are longer than the candidates on average; three
  /// standard errors to either side.
  fileprivate var shareOfNoise: (least: Double, most: Double) {
    func moments(_ values: [Double]) -> (mean: Double, error: Double) {
      let count = Double(max(1, values.count))
      let mean = values.reduce(0, +) / count
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
      return (mean, variance / count)
    }
    let (masked, known) = (moments(rowNorms), moments(norms))
    let reach = 3 * (masked.error + known.error).squareRoot()
    guard known.mean > 0 else { return (0, 0) }
    func share(_ excess: Double) -> Double { max(0, excess / known.mean).squareRoot() }
    return (share(masked.mean - known.mean - reach), share(masked.mean - known.mean + reach))
  }
}
