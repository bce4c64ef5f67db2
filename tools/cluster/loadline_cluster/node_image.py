"""Where does the image of a Kubernetes node come from?"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loadline_cluster import debian, fingerprint, golang, paths, registry, versions
from loadline_cluster.image_store import store
from loadline_cluster.run import run, succeeds
from loadline_cluster.steps import step

PACKAGES = (
    *("systemd", "bash", "util-linux", "mount", "kmod", "procps", "ca-certificates", "openssl", "curl", "jq"),
    *("iproute2", "iptables", "nftables", "conntrack", "ethtool", "socat", "containernetworking-plugins"),
    *("runc", "libseccomp2", "pigz", "busybox-static"),
)

IN_ROOT = r"""
rm -f /lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service \
  /lib/systemd/system/{multi-user,local-fs,basic}.target.wants/* /etc/systemd/system/*.wants/* \
  /lib/systemd/system/sockets.target.wants/*{udev,initctl}*
echo ReadKMsg=no >> /etc/systemd/journald.conf
ln -sf "$(command -v systemd)" /sbin/init
systemctl -q enable kubelet.service containerd.service undo-mount-hacks.service preload-images.service pod-network.path
systemctl -q mask systemd-binfmt.service
ctr oci spec | jq "del(.process.rlimits)" > /etc/containerd/cri-base.json
"""
"""What is left of systemd's units in a container, which of ours run, and what containerd starts a container from."""

DOCKERFILE = """\
FROM {root}
ENV container=docker
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]
"""

PROVISIONER_IMAGE = f"docker.io/loadline/local-path-provisioner:{versions.LOCAL_PATH_PROVISIONER}"
RECIPE = fingerprint.of(
    *(versions.KUBERNETES, versions.CONTAINERD, versions.ETCD, versions.COREDNS, versions.PAUSE, versions.KIND),
    *(versions.LOCAL_PATH_PROVISIONER, versions.DEBIAN_SUITE, versions.POD_SUBNET),
    paths.DATA / "node",
    paths.DATA / "go",
    Path(__file__),
)


@dataclass(frozen=True, kw_only=True)
class GoModule:
    """Programs of one Go module whose versions this tool pins by a go.mod of its own."""

    name: str
    version: str
    packages: tuple[str, ...]
    ldflags: str = "-s -w"
    tags: str = ""

    def build(self) -> Path:
        """Build what is missing; return the folder of the programs."""
        module = paths.DATA / "go" / self.name
        recipe = fingerprint.of(module, self.ldflags, self.tags, length=8)
        folder = paths.cache() / "programs" / f"{self.name}-{self.version}-{recipe}"
        golang.build(module, self.packages, folder, ldflags=self.ldflags, tags=self.tags)
        return folder


def _kubernetes_flags() -> str:
    minor = versions.KUBERNETES.split(".")[1]
    values = {"gitVersion": versions.KUBERNETES, "gitMajor": "1", "gitMinor": minor}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return "-s -w " + " ".join(f"-X {package}.{key}={value}" for package in packages for key, value in values.items())


CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
ON_CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
ON_NODES = ("kubeadm", "kubectl", "kubelet")
CONTAINERD_PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr")
KUBERNETES = GoModule(
    name="kubernetes",
    version=versions.KUBERNETES,
    packages=tuple(f"k8s.io/kubernetes/cmd/{program}" for program in (*CONTROL_PLANE, *ON_NODES)),
    ldflags=_kubernetes_flags(),
)
CONTAINERD = GoModule(
    name="containerd",
    version=versions.CONTAINERD,
    packages=tuple(f"github.com/containerd/containerd/v2/cmd/{program}" for program in CONTAINERD_PROGRAMS),
    ldflags=f"-s -w -X github.com/containerd/containerd/v2/version.Version={versions.CONTAINERD}",
    tags="no_btrfs no_devmapper no_zfs",
)
ETCD = GoModule(name="etcd", version=versions.ETCD, packages=("go.etcd.io/etcd/server/v3",))
PAUSE = GoModule(name="pause", version=versions.PAUSE, packages=("loadline.dev/cluster/pause",))


def own_image() -> str:
    """The name of the node image that this tool builds."""
    return f"{versions.OWN_NODE_IMAGE}-{RECIPE}"


def ensure() -> str:
    """Have a node image in the engine's store; return its name."""
    with step(
        "node image", f"each node of the cluster is a container that runs Kubernetes {versions.KUBERNETES}"
    ) as under_way:
        if there := next((image for image in (own_image(), versions.RELEASED_NODE_IMAGE) if _is_there(image)), None):
            under_way.already()
            return there
        if found := registry.source(versions.RELEASED_NODE_IMAGE):
            run(["docker", "pull", "-q", found], deadline=1800, remedy="LOADLINE_REGISTRY=none builds the image here")
            run(["docker", "tag", found, versions.RELEASED_NODE_IMAGE], deadline=60)
            return versions.RELEASED_NODE_IMAGE
        under_way.note("no registry has it: built of Go modules and Debian packages (about 12 min the first time)")
        _build(own_image())
        return own_image()


def _is_there(image: str) -> bool:
    """Say whether the engine has `image`; one that bears the released name has to come from a registry."""
    if not succeeds(["docker", "image", "inspect", image], deadline=30):
        return False
    digests = run(["docker", "image", "inspect", "--format", "{{.RepoDigests}}", image], deadline=30).strip()
    return image != versions.RELEASED_NODE_IMAGE or digests != "[]"


def _build(image: str) -> None:
    programs = _programs()
    kind = golang.module_folder("sigs.k8s.io/kind", versions.KIND)
    with debian.root_file_system(PACKAGES) as root, debian.temporary_folder("node") as folder:
        _add_files_of_kind(root, kind / "images/base/files")
        _add_own_files(root, programs)
        run(["chroot", root, "bash", "-euo", "pipefail", "-c", IN_ROOT], deadline=120)
        _add_images(root, programs, folder)
        _import(root, image, folder)


def _programs() -> Mapping[str, Path]:
    """Every program of the node and its control plane, by the name that it has there."""
    folders = [module.build() for module in (KUBERNETES, CONTAINERD, ETCD, PAUSE)]
    found = {program.name: program for folder in folders for program in folder.iterdir()}
    found["etcd"] = found.pop("server")
    found["coredns"] = golang.install("github.com/coredns/coredns", versions.COREDNS)
    found["local-path-provisioner"] = golang.install(
        "github.com/rancher/local-path-provisioner", versions.LOCAL_PATH_PROVISIONER
    )
    return found


def _add_files_of_kind(root: Path, files: Path) -> None:
    """Copy what kind itself ships for its node image: the entry point, systemd units, containerd's settings."""
    for program in (files / "usr/local/bin").iterdir():
        _install(program, root / "usr/local/bin")
    for folder in ("kind", "etc"):
        _copy_files(files / folder, root / folder)
    for script in (root / "kind/bin").iterdir():
        script.chmod(0o755)
    settings = root / "etc/containerd/config.toml"
    text = settings.read_text()
    # A root without CAP_SYS_RESOURCE may not lower a container's oom_score_adj.
    for before, after in {
        "restrict_oom_score_adj = false": "restrict_oom_score_adj = true",
        "registry.k8s.io/pause:3.10": f"registry.k8s.io/pause:{versions.PAUSE}",
    }.items():
        if before not in text:
            raise ValueError(
                f"{before!r} is no longer in kind's containerd settings; adapt node_image.py to {versions.KIND}"
            )
        text = text.replace(before, after)
    settings.write_text(text)


def _add_own_files(root: Path, programs: Mapping[str, Path]) -> None:
    shutil.copytree(root / "usr/lib/cni", root / "opt/cni/bin", dirs_exist_ok=True)
    for folder in ("kind/images/control-plane", "kind/manifests", "etc/cni/net.d", "etc/kubernetes/manifests"):
        paths.made(root / folder)
    for program in ON_NODES:
        _install(programs[program], root / "usr/bin")
    for program in CONTAINERD_PROGRAMS:
        _install(programs[program], root / "usr/local/bin")
    (root / "kind/version").write_text(versions.KUBERNETES)
    for file in fingerprint.files(paths.DATA / "node"):
        place = {".yaml": "kind/manifests", "": "usr/local/bin"}.get(file.suffix, "etc/systemd/system")
        text = file.read_text().replace("POD_SUBNET", versions.POD_SUBNET)
        (root / place / file.name).write_text(text.replace("PROVISIONER_IMAGE", PROVISIONER_IMAGE))
    for script in ("pod-network", "preload-images"):
        (root / "usr/local/bin" / script).chmod(0o755)


def _add_images(root: Path, programs: Mapping[str, Path], folder: Path) -> None:
    """Put the images of the control plane into the node, one static program each."""
    nft, shell = folder / "nft", folder / "shell"
    _copy_with_libraries(root, "/usr/sbin/nft", nft)
    # Without it nft lists protocols by number, kube-proxy does not know its own elements again, and its full sync, an
    # hour after its start, deletes them: no Service of the cluster is reached from that node any more.
    shutil.copyfile(root / "etc/protocols", paths.made(nft / "etc") / "protocols")
    paths.made(shell / "bin")
    for name in ("sh", "mkdir", "rm"):  # what the provisioner's helper pods run
        _install(root / "bin/busybox", shell / "bin", name)
    images = {
        **{program: f"registry.k8s.io/{program}:{versions.KUBERNETES}" for program in CONTROL_PLANE},
        "etcd": f"registry.k8s.io/etcd:{versions.ETCD.removeprefix('v')}-0",
        "coredns": f"registry.k8s.io/coredns/coredns:{versions.COREDNS}",
        "pause": f"registry.k8s.io/pause:{versions.PAUSE}",
        "local-path-provisioner": PROVISIONER_IMAGE,
    }
    extras = {"kube-proxy": nft, "local-path-provisioner": shell}
    for program, image in images.items():
        context = paths.made(folder / f"image-{program}")
        _install(programs[program], context, program)
        shutil.copytree(extras[program], context / "extra", symlinks=True) if program in extras else paths.made(
            context / "extra"
        )
        path = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        (context / "Dockerfile").write_text(
            f"FROM scratch\nCOPY extra/ /\nCOPY {program} /usr/local/bin/{program}\n"
            f'ENV PATH={path}\nENTRYPOINT ["/usr/local/bin/{program}"]\n'
        )
        store().build(context, image, recipe=RECIPE)
        place = "kind/images/control-plane" if program in ON_CONTROL_PLANE else "kind/images"
        store().save(image, root / place / f"{program}.tar")


def _import(root: Path, image: str, folder: Path) -> None:
    """Turn the root file system into the image."""
    archive, context = folder / "root.tar", paths.made(folder / "context")
    run(["tar", "-C", root, "-cf", archive, "."], deadline=300)
    layer = f"docker.io/loadline/node-root:{RECIPE}"
    run(["docker", "import", archive, layer], deadline=600)
    (context / "Dockerfile").write_text(DOCKERFILE.format(root=layer))
    run(["docker", "build", "-q", "-t", image, context], deadline=600, env={"DOCKER_BUILDKIT": "0"})


def _copy_with_libraries(root: Path, program: str, target: Path) -> None:
    """Copy a program of the root file system and what it is linked with, links resolved inside that root."""
    listed = run(["chroot", root, "ldd", program], deadline=30)
    libraries = [word for word in listed.split() if word.startswith("/")]
    packed = root / "libraries.tar"
    run(["chroot", root, "tar", "--absolute-names", "-chf", "/libraries.tar", program, *libraries], deadline=60)
    run(["tar", "-C", paths.made(target), "-xf", packed], deadline=60)
    packed.unlink()


def _install(program: Path, folder: Path, name: str | None = None) -> None:
    copied = Path(shutil.copyfile(program, paths.made(folder) / (name or program.name)))
    copied.chmod(0o755)


def _copy_files(source: Path, target: Path) -> None:
    """Copy a tree out of Go's module cache, where everything is read-only, folders too."""
    for file in fingerprint.files(source):
        copied = target / file.relative_to(source)
        shutil.copyfile(file, paths.made(copied.parent) / copied.name)
        copied.chmod(0o644)
