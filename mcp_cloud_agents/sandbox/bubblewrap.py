"""Interim."""
import json, os, signal, subprocess
from mcp_cloud_agents.domain.sandbox import *
class P:
    def __init__(self, p, status): self.p=p; self.status=status; self.pidfd=os.pidfd_open(p.pid); self.buf=b""
    def fileno(self): return self.pidfd
    def pids(self): return ()
    def kill(self):
        self.p.kill()
    def wait(self):
        self.p.wait()
        while d:=os.read(self.status,4096): self.buf+=d
        os.close(self.status); os.close(self.pidfd)
        for l in self.buf.splitlines():
            try: j=json.loads(l)
            except ValueError: continue
            if "exit-code" in j: return j["exit-code"]
        return None
def memfd(data):
    fd=os.memfd_create("box",0); os.write(fd,data); os.lseek(fd,0,0); return fd
class Bubblewrap:
    level=IsolationLevel.FULL
    def __init__(self, program="/usr/bin/bwrap", job_uid=62000): self.uid=job_uid
    def probe(self):
        return Probe(level=self.level, driver="bubblewrap 0.8.0", works=True, limits=(("processes",Enforcement.HARD),))
    def start(self, argv, c, *, output):
        r,w=os.pipe()
        a=["--unshare-user","--disable-userns","--unshare-pid","--unshare-ipc","--unshare-uts","--uid","1000","--gid","1000","--die-with-parent","--new-session","--cap-drop","ALL","--tmpfs","/","--ro-bind","/usr","/usr"]
        if c.network is Network.NONE: a+=["--unshare-net"]
        for d in ("/bin","/sbin","/lib","/lib64"): a+=["--symlink",os.readlink(d),d] if os.path.islink(d) else ["--ro-bind-try",d,d]
        a+=["--perms","0755","--dir","/etc"]
        for f in "ld.so.cache ld.so.conf ld.so.conf.d alternatives ssl/certs localtime nsswitch.conf mime.types protocols services resolv.conf".split(): a+=["--ro-bind-try","/etc/"+f,"/etc/"+f]
        pw=memfd(b"agent:x:1000:1000::/home/agent:/bin/sh\n")
        a+=["--ro-bind-data",str(pw),"/etc/passwd"]
        a+=["--proc","/proc","--dev","/dev"]
        for d in ("/dev/shm","/tmp","/home/agent"): a+=["--size",str(c.limits.tmp_mib<<20),"--tmpfs",d]
        for b in c.binds: a+=["--bind" if b.writable else "--ro-bind",b.host,b.inside]
        for t in c.tmpfs: a+=["--tmpfs",t]
        a+=["--dir","/var","--symlink","/tmp","/var/tmp","--dir","/run","--remount-ro","/","--chdir",c.cwd]
        env={"PATH":":".join([*c.path,"/usr/local/bin:/usr/bin:/bin"]),"HOME":"/home/agent","LANG":"C.UTF-8","TMPDIR":"/tmp","USER":"agent","CI":"1","NO_COLOR":"1","TERM":"dumb"}
        if c.network is Network.HOST: env["SSL_CERT_FILE"]="/etc/ssl/certs/ca-certificates.crt"
        env.update(dict(c.env))
        for k,v in env.items(): a+=["--setenv",k,v]
        a+=["--json-status-fd",str(w)]
        args=memfd(b"\0".join(map(os.fsencode,a))+b"\0")
        kw=dict(user=self.uid,group=self.uid,extra_groups=[]) if os.geteuid()==0 else {}
        p=subprocess.Popen(["bwrap","--args",str(args),"--",*argv],stdin=subprocess.DEVNULL,stdout=output,stderr=output,pass_fds=[args,w,pw],env={"PATH":"/usr/bin:/bin"},start_new_session=True,**kw)
        os.close(w); os.close(args); os.close(pw)
        return P(p,r)
