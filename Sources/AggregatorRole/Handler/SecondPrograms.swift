import Federation
import Foundations
import JobSpec
import Protocol
import Service

/// A second program under a site's key, which waits to be told whether the first is alive.
struct Contender {
  let introduction: SiteIntroduction
  let peer: PeerID
  /// How long the service had listened when it came. Silence is counted in the same time, so that a service that stands still counts for neither.
  let since: Duration
  /// How long it has waited when the first is sent something next.
  var nextProbe: Duration
  /// Whether it was told what it waits for.
  var isTold = false
}

/// Of two programs under one key the one that is at work stays, and the other is told; one that is gone gives way.
///
/// A site that lost its connection comes back as the same process, and is let in at once; so is one that was killed and started again, since
/// its old connection cannot be sent anything. Only what may still be alive is waited for.
extension AggregatorHandler {
  /// Whether a connection has to wait until the one before it has shown that it is alive, or has not.
  func contends(
    _ introduction: SiteIntroduction, _ site: Int, _ peer: PeerID, in service: JobService<AggregatorHandler>
  ) -> Bool {
    if let waiting = contenders.removeValue(forKey: site), waiting.peer != peer,
      waiting.introduction.instance != introduction.instance
    {
      refuse(waiting, site, in: service)
    }
    guard let known = sites[site].peer, known != peer, service.isConnected(known),
      let first = instances[site], let second = introduction.instance, first != second
    else { return false }
    // What cannot be sent shows that the process is gone, and then the site has no connection any more.
    service.tell(.pong, job: plan.job, to: known)
    guard sites[site].peer == known else { return false }
    contenders[site] = Contender(
      introduction: introduction, peer: peer, since: service.listened, nextProbe: Self.probeInterval)
    return true
  }

  /// Refuses contenders whose site has said something meanwhile, and lets in those whose site has no connection any more: one that has said nothing
  /// for longer than a step may last is taken from it by the service (`ownerSilence`).
  func settleContenders(in service: JobService<AggregatorHandler>) {
    for (site, contender) in contenders {
      guard service.isConnected(contender.peer) else {
        contenders[site] = nil
        continue
      }
      let waited = service.listened - contender.since
      if let known = sites[site].peer, let silence = service.silence(of: known) {
        // What it sent before it ended may have been on its way.
        if silence + Self.delay < waited {
          contenders[site] = nil
          refuse(contender, site, in: service)
          continue
        }
        waitFor(known, contender, site, waited, in: service)
        // What could not be sent has shown that it is gone.
        guard sites[site].peer == nil else { continue }
      }
      contenders[site] = nil
      seat(contender.introduction, site, contender.peer, in: service)
    }
  }

  /// Sends the first something now and then, at intervals that grow since a site at a long step leaves all of it unread, and tells the second
  /// what it waits for.
  private func waitFor(
    _ known: PeerID, _ contender: Contender, _ site: Int, _ waited: Duration, in service: AggregatorService
  ) {
    if waited >= contender.nextProbe {
      contenders[site]?.nextProbe = waited + max(Self.probeInterval, waited / 8)
      service.tell(.pong, job: plan.job, to: known)
    }
    if waited >= configuration.service.ownerSilence, !contender.isTold {
      contenders[site]?.isTold = true
      let name = plan.charter.sites[site].name
      service.send(
        .obstacle(
          "another program is connected under the key of site \(name), and may be at a long step: waiting to hear "
            + "of it"
        ),
        job: plan.job, to: contender.peer)
    }
  }

  private func refuse(_ contender: Contender, _ site: Int, in service: AggregatorService) {
    let error = AggregatorError.keyAtWork(site: plan.charter.sites[site].name)
    service.tell(.refused(kind: error.kind, reason: error.description), job: plan.job, to: contender.peer)
    service.observe(.role(.secondRefused(plan.charter.sites[site].name)))
  }

  /// Tells a connection that another one counts from now on.
  func letGo(of known: PeerID, _ site: Int, in service: JobService<AggregatorHandler>) {
    let error = AggregatorError.keyTaken(site: plan.charter.sites[site].name)
    service.tell(.refused(kind: error.kind, reason: error.description), job: plan.job, to: known)
    service.observe(.role(.siteTwice(plan.charter.sites[site].name)))
  }

  private static let delay = Duration.milliseconds(500)
  /// The transport finds within some seconds that a machine is gone, and what is sent then shows it.
  private static let probeInterval = Duration.seconds(2)
}
