import Collectives
import Foundations
package import Numerics
package import Protocol
package import Service

/// The provider's side: jobs of training and of masked inference, behind a service.
package final class TrainerService<Element: FloatingElement> {
  private let service: JobService<TrainingHandler<Element>>
  private let communicator: any Communicator

  /// Opens the store and resumes the jobs in it.
  ///
  /// - Parameter observe: told of everything worth a log line; called from several threads.
  /// - Throws: `Failure` when the store cannot be created or read.
  package init(
    endpoint: any ServerEndpoint, configuration: TrainerConfiguration, stop: StopSwitch,
    observe: @escaping @Sendable (TrainerEvent) -> Void
  ) throws {
    try TrainerConfiguration.check(
      jobsAtOnce: configuration.service.jobsAtOnce, areReplicated: configuration.usesReplicas)
    communicator = configuration.communicator
    service = try JobService(
      TrainingHandler(configuration), endpoint: endpoint, configuration: configuration.service, stop: stop,
      observe: observe)
    try service.handler.deployments.begin(in: service)
    stop.onRequest { [communicator] in
      // Launchers also ask to stop when a rank has died.
      communicator.checkRanks()
      endpoint.wake()
    }
    communicator.onFailure { _ in endpoint.wake() }
  }

  /// Serves until a stop is requested; then saves the running jobs, tells their owners, and returns. The other ranks stop with it.
  ///
  /// - Throws: `TransportError` when the endpoint fails for good; `CollectiveError`, when all that is done, if a rank is gone.
  package func run() throws {
    do {
      service.handler.deployments.start()
      defer { service.handler.deployments.end() }
      try service.run()
    }
    try TrainerWorker<Element>.stopAll(communicator)
  }
}
