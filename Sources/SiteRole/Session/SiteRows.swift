import Datasets
import Federation
import Files
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import Training

/// The site's rows, read once what they are standardised with is known, and what trains on them.
extension SiteWork {
  /// - Parameter progress: called while rows are read for the first time; what it throws ends that.
  func localTraining(progress: () throws -> Void = {}) throws -> any LocalUpdates<Float> {
    if let training { return training }
    let prepared = data.prepared
    let jobs = try provider.map { _ in try directory.providerJobs(plan, masking: prepared.job.masking) }
    let master = jobs?.master ?? MasterKey()
    let keys = JobKeys<Float>(master: master, plan: prepared.shape.keyPlan, compute: compute)
    var times = PhaseTimes()
    let (samples, hash) = try prepared.readSamples(
      keys: keys, master: master, noise: nil, standardization: try standardization(),
      scratch: directory.run.state, times: &times, progress: { _, _ in try progress() })
    try directory.checkDataDigest()
    try DataDigest.keepOrCheck(prepared, features: hash, in: directory.run)
    if let repeated { try SitePrivacy.check(prepared, features: hash, areRowsOf: repeated) }
    let training: any LocalUpdates<Float>
    if let provider, let jobs {
      training = ProviderTraining(
        provider.rounds(
          prepared, keys: keys, samples: samples, initial: prepared.shape.startingWeights(secret: startingSecret),
          classWeights: try classWeights(), jobs: jobs,
          scheduledSteps: plan.charter.federation.rounds * data.stepsPerRound),
        stepsPerRound: data.stepsPerRound, privateSteps: try privateSteps())
    } else {
      training = try LocalTraining(
        prepared: prepared, samples: samples, initial: try startingTensors().all, stepsPerRound: data.stepsPerRound,
        rounds: plan.charter.federation.rounds, classWeights: try classWeights(), privateSteps: try privateSteps(),
        compute: compute)
    }
    self.training = training
    return training
  }

  func privateSteps() throws -> PrivateSteps? {
    try privacy?.localSteps(plan.charter, trainingRows: trainingRows)
  }

  /// What rows are standardised with; nil where the charter asks for nothing.
  func standardization() throws -> Standardization? {
    let file = directory.run.standardization
    if let known = try ModelDirectory.readStandardization(file) { return known }
    guard case .features(let source) = data.prepared.source else { return nil }
    var fitted: Standardization?
    switch plan.charter.data.standardize {
    case .none: return nil
    case .site: fitted = try Standardization.fit(source, rows: data.prepared.split.training)
    case .pooled:
      guard let means = try directory.pooled(.means).flatMap(PooledStatistics.means),
        let squares = try directory.pooled(.deviations)
      else {
        throw SiteError.aggregatorLies("the aggregator asks for an update before it said how columns are standardised")
      }
      fitted = PooledStatistics.standardization(means: means, squares: squares)
    }
    guard let fitted else { throw SiteError.aggregatorLies("the sums that columns are standardised by are of no rows") }
    try ModelDirectory.writeStandardization(fitted, to: file)
    return fitted
  }
}
