import Federation
import Foundation
import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import TestSupport
import Training

@testable import SiteRole

/// Local training of a site of a `SmallFederation` in double precision, on its own processors and at a provider, from one model.
enum SiteTrainings {
  private static let compute = Compute(threads: 1)

  static func start(_ federation: SmallFederation, site: Int, secret: OrderSecret) throws -> [Tensor<Double>] {
    let shape = try federation.data(site).prepared.shape
    let weights = shape.startingWeights(secret: secret)
    return try shape.structure.parameters.map { try weights.tensor($0) }
  }

  static func own(
    _ federation: SmallFederation, site: Int, secret: OrderSecret, rounds: Int, classWeights: [Double]? = nil,
    privateSteps: PrivateSteps? = nil
  ) throws -> LocalTraining<Double> {
    let data = try federation.data(site)
    let keys = JobKeys<Double>(master: MasterKey(), plan: data.prepared.shape.keyPlan, compute: compute)
    var times = PhaseTimes()
    let samples = try data.prepared.readSamples(
      keys: keys, master: MasterKey(), noise: nil, standardization: nil, scratch: federation.directory.url,
      times: &times, progress: { _, _ in }
    ).samples
    return try LocalTraining(
      prepared: data.prepared, samples: samples, initial: start(federation, site: site, secret: secret),
      stepsPerRound: data.stepsPerRound, rounds: rounds, classWeights: classWeights, privateSteps: privateSteps,
      compute: compute)
  }

  static func provided(
    _ federation: SmallFederation, site: Int, masking: String, host: ProviderHost<Double>, secret: OrderSecret,
    rounds: Int, classWeights: [Double]? = nil, privateSteps: PrivateSteps? = nil
  ) throws -> ProviderTraining<Double> {
    try provider(
      federation, site: site, masking: masking, host: host, secret: secret, rounds: rounds, classWeights: classWeights,
      privateSteps: privateSteps
    ).training
  }

  /// As `provided`, with the keys that the provider does not have.
  static func provider(
    _ federation: SmallFederation, site: Int, masking: String, host: ProviderHost<Double>, secret: OrderSecret,
    rounds: Int, classWeights: [Double]? = nil, privateSteps: PrivateSteps? = nil
  ) throws -> (training: ProviderTraining<Double>, keys: JobKeys<Double>) {
    let data = try federation.data(site, masking: masking)
    let jobs = try RoundJobs(
      federation.directory.url("jobs-\(site)"), for: federation.plan.job, masking: data.prepared.job.masking)
    let keys = JobKeys<Double>(master: jobs.master, plan: data.prepared.shape.keyPlan, compute: compute)
    var times = PhaseTimes()
    let samples = try data.prepared.readSamples(
      keys: keys, master: jobs.master, noise: nil, standardization: nil, scratch: federation.directory.url,
      times: &times, progress: { _, _ in }
    ).samples
    let rounds = host.provider(of: federation, site).rounds(
      data.prepared, keys: keys, samples: samples, initial: data.prepared.shape.startingWeights(secret: secret),
      classWeights: classWeights, jobs: jobs, scheduledSteps: rounds * data.stepsPerRound)
    return (ProviderTraining(rounds, stepsPerRound: data.stepsPerRound, privateSteps: privateSteps), keys)
  }
}
