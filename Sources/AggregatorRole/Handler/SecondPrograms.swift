import Federation
import Foundations
import JobSpec
import Protocol
import Service

/// A second program under a site's key, which waits to be told whether the first is alive.
struct Contender {
  let introduction: SiteIntroduction
  let peer: PeerID
  let since: ContinuousClock.Instant
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
    contenders[site] = nil
    guard let known = sites[site].peer, known != peer, service.isConnected(known),
      let first = instances[site], let second = introduction.instance, first != second
    else { return false }
    // What cannot be sent shows that the process is gone, and then the site has no connection any more.
    service.tell(.pong, job: plan.job, to: known)
    guard sites[site].peer == known else { return false }
    contenders[site] = Contender(introduction: introduction, peer: peer, since: clock.now)
    return true
  }

  /// Refuses contenders whose site has said something meanwhile, and lets in those whose site has not for too long.
  func settleContenders(in service: JobService<AggregatorHandler>) {
    for (site, contender) in contenders {
      guard service.isConnected(contender.peer) else {
        contenders[site] = nil
        continue
      }
      let waited = contender.since.duration(to: clock.now)
      if let known = sites[site].peer, let silence = service.silence(of: known) {
        // What it sent before it ended may have been on its way.
        if silence + Self.delay < waited {
          contenders[site] = nil
          let error = AggregatorError.keyAtWork(site: plan.charter.sites[site].name)
          service.tell(.refused(kind: error.kind, reason: error.description), job: plan.job, to: contender.peer)
          service.observe(.role(.secondRefused(plan.charter.sites[site].name)))
          continue
        }
        guard waited >= configuration.service.ownerSilence else { continue }
        letGo(of: known, site, in: service)
      }
      contenders[site] = nil
      seat(contender.introduction, site, contender.peer, in: service)
    }
  }

  /// Tells a connection that another one counts from now on.
  func letGo(of known: PeerID, _ site: Int, in service: JobService<AggregatorHandler>) {
    let error = AggregatorError.keyTaken(site: plan.charter.sites[site].name)
    service.tell(.refused(kind: error.kind, reason: error.description), job: plan.job, to: known)
    service.observe(.role(.siteTwice(plan.charter.sites[site].name)))
  }

  private static let delay = Duration.milliseconds(500)
}
