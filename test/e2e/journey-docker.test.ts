// alone: networks that come and go make browsers of other tests give up what they load
/** The journey on the real Docker Engine: standalone, and as server and agent. */
import Docker from 'dockerode'
import t from 'tap'
import { journey, type Journey } from './journey.ts'
import { needImages } from '../support/product-images.ts'

const docker = new Docker()

const leftOver: Journey['leftOver'] = async (_product, id) => {
  const filters = { label: [`dev.postern.workspace=${id}`] }
  const [containers, networks, volumes] = await Promise.all([
    docker.listContainers({ all: true, filters }),
    docker.listNetworks({ filters }),
    docker.listVolumes({ filters }),
  ])
  return containers.length + networks.length + volumes.Volumes.length
}

const missing = await needImages(docker, ['node-web'])
if (missing) t.test('the journey on Docker', { skip: missing }, () => undefined)
else {
  journey(t, { mode: 'standalone', runtime: 'docker', leftOver })
  journey(t, { mode: 'split', runtime: 'docker', leftOver })
}
